"""The workflows are valid and pinned, and have only the permissions that they need."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-workflows", WORKFLOWS), ("vendor.dependabot", [GITHUB / "dependabot.yml"])],
    ids=["workflows", "dependabot"],
)
def test_files_fit_githubs_schemas(schema: str, files: list[Path]) -> None:
    assert files
    _run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files)


def test_zizmor_finds_no_weakness() -> None:
    _run(Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", GITHUB)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_a_hash_with_its_tag_in_a_comment(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_the_tests_run_on_every_version_that_the_template_offers() -> None:
    matrix = yaml.safe_load((GITHUB / "workflows/ci.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    offered = re.findall(r"^  '(3\.\d+)'$", (ROOT / "infra/main.bicep").read_text(), re.MULTILINE)
    assert matrix["python"] == offered


def test_the_deployment_ends_with_a_sweep_of_the_new_version() -> None:
    job = yaml.safe_load((GITHUB / "workflows/deploy.yml").read_text())["jobs"]["deploy"]
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert job["steps"][-1]["run"].startswith("infra/await-sweep ")
