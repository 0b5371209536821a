"""The settings of callbacks, and the address under which callers reach the app."""

from __future__ import annotations

import base64

import pytest

from polysync_core.rules.decisions.callback_addresses import DEFAULT_HOSTS, parse_hosts
from polysync_core.settings import Settings, callback_schedule
from polysync_core.values.errors import SettingsError

ENVIRON = {"DATABRICKS_HOST": "https://a.example", "POLYSYNC_TABLES": "https://t.example"}


def settings(**more: str) -> Settings:
    return Settings.from_environ(ENVIRON | more)


@pytest.mark.parametrize(
    ("environ", "public_url", "app_url"),
    [
        ({}, None, None),
        ({"WEBSITE_HOSTNAME": "orders.azurewebsites.net"}, None, "https://orders.azurewebsites.net"),
        ({"WEBSITE_HOSTNAME": "localhost:7071"}, None, "http://localhost:7071"),
        ({"WEBSITE_HOSTNAME": "127.0.0.1:7071"}, None, "http://127.0.0.1:7071"),
        (
            {"WEBSITE_HOSTNAME": "orders.azurewebsites.net", "POLYSYNC_PUBLIC_URL": "https://runs.example"},
            "https://runs.example",
            "https://orders.azurewebsites.net",
        ),
    ],
)
def test_the_public_address_and_the_platforms_name_are_kept_apart(
    environ: dict[str, str], public_url: str | None, app_url: str | None
) -> None:
    read = settings(**environ)
    assert (read.public_url, read.app_url) == (public_url, app_url)


@pytest.mark.parametrize("size", [24, 32, 64])
@pytest.mark.parametrize("padding", ["", "="])
def test_a_secret_of_24_to_64_bytes_is_taken(size: int, padding: str) -> None:
    encoded = base64.b64encode(bytes(range(size))).decode()
    given = f"whsec_{encoded if padding else encoded.rstrip('=')}"
    assert settings(POLYSYNC_CALLBACK_SECRET=given).callback_secret == given
    assert given not in repr(settings(POLYSYNC_CALLBACK_SECRET=given))


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (base64.b64encode(bytes(32)).decode(), "no prefix"),
        ("whsec_", "nothing"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "too short"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "too long"),
        ("whsec_" + "!" * 40, "no base64"),
        ("whsec_" + "A" * 33, "no base64"),
        ("whsec_" + "ä" * 40, "no ASCII"),
        ("WHSEC_" + base64.b64encode(bytes(32)).decode(), "prefix in capitals"),
    ],
)
def test_a_bad_secret_is_named_and_not_shown(secret: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=r"^POLYSYNC_CALLBACK_SECRET: must be 'whsec_'") as wrong:
        settings(POLYSYNC_CALLBACK_SECRET=secret)
    assert secret.removeprefix("whsec_") == "" or secret.removeprefix("whsec_") not in str(wrong.value)


def test_without_settings_the_documented_callers_are_allowed_and_nothing_is_signed() -> None:
    assert settings().callback_hosts == parse_hosts(DEFAULT_HOSTS)
    assert settings().callback_secret is None


def test_an_invalid_schedule_falls_back_and_health_says_so() -> None:
    assert callback_schedule({"POLYSYNC_CALLBACK_SCHEDULE": "0 */5 * * * *"}) == "0 */5 * * * *"
    assert callback_schedule({"POLYSYNC_CALLBACK_SCHEDULE": "often"}) == "5,20,35,50 * * * * *"
    assert "POLYSYNC_CALLBACK_SCHEDULE" in settings(POLYSYNC_CALLBACK_SCHEDULE="often").notes[0]
