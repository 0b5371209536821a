"""One function for each route of the app itself: alive, health, openapi."""

from __future__ import annotations

from polysync_core.rules.wire.http_answers import Reply, encode_health
from polysync_core.rules.wire.http_contract import Call
from polysync_core.services import Services
from polysync_core.use_cases import checking
from polysync_core.values.errors import SettingsError
from polysync_core.values.run import Check


def alive(_: Call, __: Services) -> Reply:
    return Reply(status=200, body={"alive": True})


def alive_with_bad_settings(_: SettingsError, __: Call) -> Reply:
    """A process that answers is alive. A restart would not correct its settings."""
    return Reply(status=200, body={"alive": True})


def health(_: Call, services: Services) -> Reply:
    checks = services.health.get(
        lambda: checking.check_all([*services.workspaces.values()], services.tokens, services.settings.notes)
    )
    return encode_health(checks)


def health_with_bad_settings(error: SettingsError, _: Call) -> Reply:
    """The health while the settings are invalid. Nothing else can be checked then."""
    return encode_health([Check(name="settings", ok=False, message=error.detail)])


def openapi(call: Call, services: Services) -> Reply:
    return _openapi(call.addresses(services.settings.public_url, services.settings.app_url).base_url)


def openapi_with_bad_settings(_: SettingsError, call: Call) -> Reply:
    """The document is the same for every app. Only the address of its server depends on the settings."""
    return _openapi(call.addresses(None, None).base_url)


def _openapi(base_url: str) -> Reply:
    # Imported on the first request of the document, so that no other request waits for it at a cold start.
    from polysync_core.rules.wire.openapi.document import openapi_document

    return Reply(status=200, body=openapi_document(base_url))
