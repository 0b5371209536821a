"""The routes of the page. They hold no data: the page gets those from the other routes, as its reader."""

from __future__ import annotations

from polysync_core import __version__
from polysync_core.adapters.page_files import INDEX, read_page_file
from polysync_core.rules.wire.http_answers import FileReply, Reply, problem
from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.page_answers import CONFIG, encode_config, encode_page_file, redirect_to_page
from polysync_core.services import Services
from polysync_core.values.caller import EntraDoor
from polysync_core.values.errors import SettingsError


def page(call: Call, services: Services) -> FileReply:
    return _page(call, services.settings.door)


def page_with_bad_settings(_: SettingsError, call: Call) -> FileReply:
    """The page is served all the same. It shows what is wrong with the settings."""
    return _page(call, None)


def page_file(call: Call, services: Services) -> FileReply:
    settings, name = services.settings, call.route.get("file", "")
    door = settings.door
    content = encode_config(door, settings.start_options, __version__) if name == CONFIG else None
    return _file(name, content, call, door)


def page_file_with_bad_settings(error: SettingsError, call: Call) -> FileReply | Reply:
    name = call.route.get("file", "")
    return problem(error, call.path) if name == CONFIG else _file(name, None, call, None)


def _page(call: Call, door: EntraDoor | None) -> FileReply:
    if call.path.endswith("/"):
        return redirect_to_page()
    return encode_page_file(INDEX, read_page_file(INDEX), call, door)


def _file(name: str, content: bytes | None, call: Call, door: EntraDoor | None) -> FileReply:
    """A file, or `content` where it is made for this call."""
    if name == INDEX:
        return redirect_to_page()
    return encode_page_file(name, read_page_file(name) if content is None else content, call, door)
