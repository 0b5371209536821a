"""One function for each route of the app itself: alive, health, openapi."""

from __future__ import annotations

from polysync_core import __version__
from polysync_core.rules.wire.health_document import encode_health
from polysync_core.rules.wire.http_answers import Reply
from polysync_core.rules.wire.http_contract import Call, decode_openapi_version
from polysync_core.services import Services
from polysync_core.use_cases import checking
from polysync_core.values.errors import SettingsError
from polysync_core.values.run import Check, Health


def alive(_: Call, __: Services) -> Reply:
    return Reply(status=200, body={"alive": True})


def alive_with_bad_settings(_: SettingsError, __: Call) -> Reply:
    """A process that answers is alive. A restart would not correct its settings."""
    return Reply(status=200, body={"alive": True})


def health(_: Call, services: Services) -> Reply:
    found = services.health.get(
        lambda: checking.check_all(
            [*services.workspaces.values()], services.tokens, services.settings.notes, services.callers
        )
    )
    return encode_health(found, __version__)


def health_with_bad_settings(error: SettingsError, _: Call) -> Reply:
    """The health while the settings are invalid. Nothing else can be checked then."""
    return encode_health(Health(checks=(Check(name="settings", ok=False, message=error.detail),)), __version__)


def openapi(call: Call, services: Services) -> Reply:
    settings = services.settings
    return _openapi(call, settings.public_url, settings.app_url, settings.start_options)


def openapi_with_bad_settings(_: SettingsError, call: Call) -> Reply:
    """The document of an app without start options. Only they and the address depend on the settings."""
    return _openapi(call, None, None, ())


def _openapi(call: Call, public_url: str | None, app_url: str | None, start_options: tuple[str, ...]) -> Reply:
    version = decode_openapi_version(call)
    # Imported on the first request of the document, so that no other request waits for it at a cold start.
    from polysync_core.rules.wire.openapi.document import openapi_document
    from polysync_core.rules.wire.openapi.swagger import swagger_document

    document = openapi_document(call.addresses(public_url, app_url).base_url, start_options)
    return Reply(status=200, body=swagger_document(document) if version == "2.0" else document)
