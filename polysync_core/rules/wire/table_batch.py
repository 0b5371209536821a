"""A batch of Table Storage as bytes: one change set of several requests, and the answer to each of them.

Source: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_PART = re.compile(r"^HTTP/1\.1 (\d{3})(.*?)\r\n\r\n(.*?)\r\n--", re.MULTILINE | re.DOTALL)
_ETAG = re.compile(r"^ETag: *(\S+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartRequest:
    """One request of a batch. `body` is JSON, or empty for a delete."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PartAnswer:
    """The answer to one request of a batch. `etag` is the new version of its row. `body` is JSON or empty."""

    status: int
    etag: str | None
    body: str


def content_type(boundary: str) -> str:
    """The Content-Type of a batch."""
    return f"multipart/mixed; boundary=batch_{boundary}"


def encode_batch(requests: Sequence[PartRequest], boundary: str) -> bytes:
    """The body of a batch. `boundary` is a text that is in none of the requests."""
    return "\r\n".join([*_lines(requests, boundary), ""]).encode()


def _lines(requests: Sequence[PartRequest], boundary: str) -> Iterator[str]:
    yield f"--batch_{boundary}"
    yield f"Content-Type: multipart/mixed; boundary=changeset_{boundary}"
    yield ""
    for number, request in enumerate(requests):
        yield f"--changeset_{boundary}"
        yield "Content-Type: application/http"
        yield "Content-Transfer-Encoding: binary"
        yield f"Content-ID: {number}"
        yield ""
        yield f"{request.method} {request.url} HTTP/1.1"
        yield from (f"{name}: {value}" for name, value in request.headers.items())
        yield ""
        yield request.body
    yield f"--changeset_{boundary}--"
    yield ""
    yield f"--batch_{boundary}--"


def decode_answers(body: bytes) -> list[PartAnswer]:
    """The answers in the response to a batch. Storage answers a refused batch with one answer.

    Only complete answers are returned, so there may be none. A row in an answer is one line of JSON, so it contains no
    line that looks like an answer.
    """
    return [_answer(*found.groups()) for found in _PART.finditer(body.decode(errors="replace"))]


def _answer(status: str, headers: str, body: str) -> PartAnswer:
    etag = _ETAG.search(headers)
    return PartAnswer(status=int(status), etag=None if etag is None else etag[1], body=body)
