"""The shell commands in the README's examples, and what the README shows as their output."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One command, and the lines that the README shows below it. `…` in a line stands for text that is left out."""

    command: str
    output: tuple[str, ...]


def readme_examples() -> list[Example]:
    """Return the examples that call an app on this machine or get a token, in the order of the page."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL):
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = re.sub(r"\\\n *", "", text).partition("\n")
            if (command.startswith("curl") and "127.0.0.1" in command) or "local.token" in command:
                found.append(Example(command=command, output=tuple(filter(None, output.splitlines()))))
    return found
