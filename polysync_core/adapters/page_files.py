"""The files of the page, which are deployed beside the code. None is read before the first request for it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from polysync_core.values.errors import PageFileNotFound

INDEX = "index.html"
LICENSES = "licenses.txt"
_CORE = Path(__file__).resolve().parents[1]
_FOLDER = _CORE / "page"
_LICENSES = _CORE / "page_licenses.txt"
"""Those of the libraries in the folder. They lie beside it, because the page itself does not load them."""


def read_page_file(name: str) -> bytes:
    """Return the content of a file. Raises PageFileNotFound for a name that is not that of a file in the folder.

    The name is only looked up among the known ones. So it never becomes a part of a path.
    """
    known = _files().get(name)
    if known is None:
        raise PageFileNotFound("The page has no such file. The page itself is at /api/page.")
    return _content(known)


@functools.cache
def _files() -> Mapping[str, Path]:
    return {path.name: path for path in _FOLDER.iterdir() if path.is_file()} | {LICENSES: _LICENSES}


@functools.cache
def _content(path: Path) -> bytes:
    return path.read_bytes()
