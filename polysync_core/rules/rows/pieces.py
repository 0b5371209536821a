"""Long texts as columns of limited length. A column holds 32,768 UTF-16 units, and an emoji has two of them.

Source: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

PIECE = 32_000
"""The most UTF-16 units in a column."""


def fits(text: str) -> bool:
    """Whether a column can hold the text."""
    return len(_utf_16(text)) <= 2 * PIECE


def cut(name: str, text: str) -> dict[str, object]:
    """Split a text of any length into the columns name0, name1 …"""
    return {f"{name}{number}": piece for number, piece in enumerate(_pieces(text))}


def uncut(name: str, columns: Mapping[str, object]) -> str:
    """Join the columns that `cut` made. Returns "" if there are none. Raises TypeError if one is not text."""
    pieces: list[str] = []
    while (piece := columns.get(f"{name}{len(pieces)}")) is not None:
        if not isinstance(piece, str):
            raise TypeError("str")
        pieces.append(piece)
    return "".join(pieces)


def _pieces(text: str) -> Iterator[str]:
    """Split by UTF-16 units. A character of two units, such as an emoji, stays in one piece."""
    if text.isascii():
        yield from (text[at : at + PIECE] for at in range(0, len(text), PIECE))
        return
    units = _utf_16(text)
    at = 0
    while at < len(units):
        end = at + 2 * PIECE
        if units[end - 1 : end] and 0xD8 <= units[end - 1] < 0xDC:
            end -= 2  # the first half of a character
        yield units[at:end].decode("utf-16-le", "surrogatepass")
        at = end


def _utf_16(text: str) -> bytes:
    """A lone half of a character passes too, because JSON may hold one."""
    return text.encode("utf-16-le", "surrogatepass")
