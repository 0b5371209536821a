"""The output of the demo: formatted by rich on a terminal, plain lines without animation elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.status import Status
from rich.table import Table


class Screen:
    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._step = 0

    def step(self, title: str) -> None:
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}. {escape(title)}[/]")

    def say(self, text: str = "") -> None:
        self._console.print(escape(text))

    def command(self, line: str) -> None:
        """Show a shell command. No prompt is before it, so that the whole line can be pasted."""
        self._console.print(f"   [green]{escape(line)}[/]")

    def curl(self, method: str, url: str, option: str | None, body: Mapping[str, Any] | None = None) -> None:
        """Show the curl command for a request. `option` holds the credential of the caller, quoted for a shell."""
        parts = ["curl -i"]
        if method != "GET":
            parts.append(f"-X {method}")
        parts.append(f"'{url}'")
        if option is not None:
            parts.append(option)
        if body is not None:
            parts.append(f"-d '{json.dumps(body)}'")
        self.command(" ".join(parts))

    def answer(
        self, status: int, headers: Mapping[str, str] | None = None, shown: Mapping[str, Any] | None = None
    ) -> None:
        """Show a response: its status, the given headers, and some of its fields."""
        self._console.print(f"   [bold]{status}[/]")
        for name, value in (headers or {}).items():
            self._console.print(f"   {name}: {escape(value)}", style="dim")
        if shown is not None:
            self.fields(shown)

    def fields(self, shown: Mapping[str, Any]) -> None:
        """Show some fields of a JSON document."""
        for line in json.dumps(shown, indent=2, ensure_ascii=False).splitlines():
            self._console.print(f"   {escape(line)}")

    def state(self, seconds: float, document: Mapping[str, Any]) -> None:
        """Show one line for a state of a run, `seconds` after the start."""
        colour = {"Success": "green", "Failed": "red", "Cancelled": "yellow"}.get(document["status"], "white")
        self._console.print(
            f"   {seconds:5.1f} s  {document['state'] or '-':<22} [{colour}]{document['status']:<10}[/] "
            f"{escape(document['message'])}"
        )

    @contextmanager
    def waiting(self, text: str) -> Iterator[Status | None]:
        """Show a spinner on a terminal until the block ends. Elsewhere show nothing."""
        if not self._console.is_terminal:
            yield None
            return
        with self._console.status(escape(text)) as status:
            yield status

    @contextmanager
    def progress(self, text: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show a progress bar on a terminal. Yields a function that sets its count. Elsewhere show nothing."""
        with Progress(
            TextColumn(f"   {text}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task(text, total=total)
            yield lambda count: progress.update(task, completed=count)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._console.print(Padding(table, (0, 0, 0, 3)))
