"""docs/architecture.md names every folder of the core. Every path that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()


def test_the_page_names_every_folder_of_the_core() -> None:
    folders = {file.parent.relative_to(ROOT).as_posix() for file in (ROOT / "polysync_core").rglob("*.py")}
    named = set(re.findall(r"^\| `([\w/]+)` \|", PAGE, re.MULTILINE))
    assert folders - {"polysync_core"} - named == set()


def test_every_path_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:polysync_core|tests|local|integrations)[\w/.]*)`", PAGE))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    assert len(named) > 20
