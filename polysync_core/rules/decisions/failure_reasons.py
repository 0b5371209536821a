"""Find in the pipeline's event log why an update failed. Pure.

The event that reports a failure says only "Update 27bc77 is FAILED." The reason is in its exceptions, the cause last:
https://learn.microsoft.com/azure/databricks/ldp/monitor-event-log-schema. Databricks' filters are unreliable, so
events of other updates are also left out here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from polysync_core.values.databricks import ErrorEvent
from polysync_core.values.run import RunError

MAX_MESSAGE, MAX_CODE = 1000, 200
UNKNOWN_FAILURE = RunError(code="UpdateFailed", message="The update failed; its page in Databricks shows the events.")
_MAX_INNERMOST = 600
_ESC = r"(?:\x1b|\\x1b|\\u001b|\\033)"
_ESCAPES = re.compile(
    rf"(?:{_ESC}\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    rf"|(?:{_ESC}[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC and similar: titles
    rf"|{_ESC}[ -/]*[0-~]"  # short sequences
    r"|\[(?:0|\d{1,3}(?:;\d{1,3})+)m",  # a colour whose escape character was lost on the way
    re.IGNORECASE,
)
"""https://ecma-international.org/publications-and-standards/standards/ecma-48/"""
_RULE = re.compile(r"([-=_*~#^+─━═—])\1{3,}")
_TRACEBACK = "Traceback (most recent call last)"
_NAME = r"(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*"
_LAST_LINE = re.compile(rf"(?::\s*|Caused by:\s*)?(?P<line>(?P<name>{_NAME})(?::\s.*)?)")
"""A line that names an exception: the last line of a Python traceback, the first of a Java one, or a Java cause."""
_NAMES_EXCEPTION = re.compile(r".+\..+|\w*(?:Error|Exception|Warning|Failure|Exit|Interrupt|Throwable|Fault)")


def find_reason(events: Iterable[ErrorEvent], update_id: str) -> RunError | None:
    """Return the innermost exception with a text, or None if no event of this update has one.

    `events` are in order, newest first. Fatal events are searched before others.
    """
    ours = [event for event in events if event.update_id == update_id]
    for event in sorted(ours, key=lambda event: not event.fatal):
        for failure in reversed(event.failures):
            message = reason_of(failure.message or "")
            if message:
                return RunError(code=(failure.class_name or "UpdateFailed")[:MAX_CODE], message=message)
    return None


def reason_of(text: str) -> str:
    """Return an exception's text as one bounded line. The line begins with the innermost exception that it names.

    Terminal escapes, control characters and lines of dashes are left out. The middle of a long text is cut.
    """
    lines = [*_readable_lines(text)]
    innermost = _innermost(lines)
    if innermost is None:
        return _shortened(" ".join(line.strip() for line in lines), MAX_MESSAGE)
    first = _shortened(innermost, _MAX_INNERMOST)
    rest = " ".join(line.strip() for line in lines if not line.endswith(innermost))
    return f"{first} | {_shortened(rest, MAX_MESSAGE - len(first) - 3)}" if rest else first


def _readable_lines(text: str) -> Iterable[str]:
    """Yield the lines with a letter or digit. Blanks are merged, and an indented line begins with one blank."""
    for line in _ESCAPES.sub("", text).splitlines():
        shown = "".join(char for char in line if char == "\t" or unicodedata.category(char) not in {"Cc", "Cf"})
        words = " ".join(_RULE.sub(" ", shown).split())
        if any(map(str.isalnum, words)):
            yield f" {words}" if shown[:1].isspace() else words


def _innermost(lines: Sequence[str]) -> str | None:
    """Return the last line that names an exception, or None.

    In a Python traceback, the first line after the frames names the exception.
    """
    found, is_traceback = None, False
    for line in lines:
        named = _LAST_LINE.fullmatch(line)
        is_exception = named is not None and (is_traceback or _NAMES_EXCEPTION.fullmatch(named["name"]) is not None)
        if named is not None and is_exception and _TRACEBACK not in line:
            found, is_traceback = named["line"], False
        is_traceback = is_traceback or _TRACEBACK in line
    return found


def _shortened(text: str, most: int) -> str:
    """Return `text`, or its start and end if it is too long. The end of an exception's message matters."""
    if len(text) <= most:
        return text
    front = (most - 3) // 2
    return f"{text[:front]} … {text[len(text) - (most - 3 - front) :]}"
