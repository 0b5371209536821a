"""Access tokens of callers: how long Entra ID's keys are kept, when they are fetched, and how exact times must be."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from local.entra import KEYS, SimulatedEntra
from local.rig import ManualClock
from polysync_core.adapters.entra_callers import EntraCallers
from polysync_core.values.caller import EntraDoor
from polysync_core.values.errors import NotSignedIn, SignInUnavailable

DENIED = "33333333-0000-4000-8000-000000000001"


@pytest.fixture
def entra() -> Iterator[SimulatedEntra]:
    with SimulatedEntra() as running:
        yield running


@pytest.fixture
def callers(entra: SimulatedEntra, clock: ManualClock) -> EntraCallers:
    door = EntraDoor(
        tenant=entra.tenant, audience=entra.audience, authority=entra.url, denied=frozenset({DENIED}), page_client=None
    )
    return EntraCallers(door, clock)


def _sign_in(callers: EntraCallers, token: str) -> None:
    callers.authenticate(f"Bearer {token}")


# --- the keys


def test_a_new_key_is_accepted_30_seconds_after_the_last_fetch(
    entra: SimulatedEntra, callers: EntraCallers, clock: ManualClock
) -> None:
    _sign_in(callers, entra.issue())
    entra.rotate()
    token = entra.issue()
    clock.pass_time(seconds=29)
    with pytest.raises(NotSignedIn):
        _sign_in(callers, token)
    clock.pass_time(seconds=1)
    _sign_in(callers, token)
    assert entra.fetches()["keys"] == 2


def test_the_keys_are_fetched_at_most_once_in_30_seconds_also_while_entra_is_down(
    entra: SimulatedEntra, callers: EntraCallers, clock: ManualClock
) -> None:
    entra.down()
    for expected in (1, 2, 3):
        for _ in range(3):
            with pytest.raises(SignInUnavailable):
                _sign_in(callers, entra.issue())
            clock.pass_time(seconds=10)
        assert entra.fetches()["keys"] == expected
    entra.up()
    _sign_in(callers, entra.issue())


def test_known_keys_go_on_when_entra_is_down_for_longer_than_a_day(
    entra: SimulatedEntra, callers: EntraCallers, clock: ManualClock
) -> None:
    _sign_in(callers, entra.issue())
    entra.down()
    clock.pass_time(hours=25)
    for _ in range(3):
        _sign_in(callers, entra.issue())
    assert entra.fetches()["keys"] == 2, "one try, and then none for 30 s"
    clock.pass_time(seconds=30)
    _sign_in(callers, entra.issue())
    assert entra.fetches()["keys"] == 3


def test_a_key_that_the_tenant_withdraws_ends_within_a_day(
    entra: SimulatedEntra, callers: EntraCallers, clock: ManualClock
) -> None:
    token = entra.issue()
    _sign_in(callers, token)
    entra.rotate()
    entra.forget_old()
    clock.pass_time(hours=23)
    _sign_in(callers, token)
    clock.pass_time(hours=1)
    with pytest.raises(NotSignedIn):
        _sign_in(callers, token)


def test_a_redirect_of_the_keys_is_not_followed(entra: SimulatedEntra, callers: EntraCallers) -> None:
    keys = f"{entra.url}/{entra.tenant}/discovery/v2.0/keys"
    entra.add_fault("status", route=KEYS, status=302, headers={"Location": keys})
    with pytest.raises(SignInUnavailable):
        _sign_in(callers, entra.issue())
    assert entra.fetches()["keys"] == 1


def test_a_key_that_is_unknown_because_the_last_fetch_failed_is_not_the_caller_s_fault(
    entra: SimulatedEntra, callers: EntraCallers, clock: ManualClock
) -> None:
    _sign_in(callers, entra.issue())
    known = entra.issue()
    entra.rotate()
    clock.pass_time(seconds=30)
    entra.down()
    for _ in range(2):
        with pytest.raises(SignInUnavailable) as raised:
            _sign_in(callers, entra.issue())
        assert raised.value.retry_after_seconds == 30
    _sign_in(callers, known)
    with pytest.raises(NotSignedIn):
        _sign_in(callers, entra.wrong_token("no_kid"))
    entra.up()
    clock.pass_time(seconds=30)
    _sign_in(callers, entra.issue())
    with pytest.raises(NotSignedIn):
        _sign_in(callers, entra.wrong_token("unknown_kid"))


# --- the claims


@pytest.mark.parametrize(
    ("claim", "accepted", "refused"),
    [("exp", -57, -61), ("nbf", 59, 63), ("iat", 59, 63)],  # a slow test still has two seconds
)
def test_times_have_a_leeway_of_a_minute(
    entra: SimulatedEntra, callers: EntraCallers, claim: str, accepted: int, refused: int
) -> None:
    _sign_in(callers, entra.issue())  # so that the keys are known
    _sign_in(callers, entra.issue(claims={claim: int(time.time()) + accepted}))
    with pytest.raises(NotSignedIn):
        _sign_in(callers, entra.issue(claims={claim: int(time.time()) + refused}))


@pytest.mark.parametrize("version", ["1.0", "", 2.0, None])
def test_a_token_that_is_right_but_for_its_version_is_refused(
    entra: SimulatedEntra, callers: EntraCallers, version: object
) -> None:
    with pytest.raises(NotSignedIn):
        _sign_in(callers, entra.issue(claims={"ver": version}))


@pytest.mark.parametrize("object_id", ["", [], 7, "somebody", {"a": 1}])
def test_an_oid_that_is_no_uuid_is_refused(entra: SimulatedEntra, callers: EntraCallers, object_id: object) -> None:
    with pytest.raises(NotSignedIn):
        _sign_in(callers, entra.issue(claims={"oid": object_id}))


# --- what the operator is told


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("expired", "has expired"),
        ("not_yet_valid", "not valid yet"),
        ("other_audience", "POLYSYNC_ENTRA_AUDIENCE"),
        ("other_tenant", "issuer"),
        ("other_issuer", "issuer"),
        ("tid_of_another_tenant", "tid"),
        ("v1", "issuer"),
        ("id_token", "ID token"),
        ("alg_none", "one token"),
        ("hs256_with_the_public_key", "RS256"),
        ("unknown_kid", "key id"),
        ("changed_roles", "signature"),
        ("no_oid", "lacks one of"),
        ("garbage", "malformed"),
        ("too_long", "one token"),
    ],
)
def test_the_log_says_why_a_token_is_refused_and_nothing_of_the_token(
    entra: SimulatedEntra, callers: EntraCallers, caplog: pytest.LogCaptureFixture, wrong: str, reason: str
) -> None:
    token = entra.wrong_token(wrong)
    with pytest.raises(NotSignedIn) as raised:
        _sign_in(callers, token)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "polysync.door"]
    assert line.startswith("sign-in refused: ")
    assert reason in line
    assert not [part for part in token.split(".") if len(part) > 5 and part in line]
    assert reason not in raised.value.detail, "the caller may be anybody"


def test_each_reason_is_logged_once_in_30_seconds(
    entra: SimulatedEntra, callers: EntraCallers, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def lines() -> list[str]:
        return [record.getMessage().partition(": ")[2] for record in caplog.records if record.name == "polysync.door"]

    for _ in range(5):
        for token in (entra.wrong_token("expired"), entra.issue(object_id=DENIED)):
            with pytest.raises(NotSignedIn):
                _sign_in(callers, token)
    with pytest.raises(NotSignedIn):
        callers.authenticate(None)
    assert lines() == ["the token has expired", "POLYSYNC_ENTRA_DENIED names the caller", "no token was sent"]
    clock.pass_time(seconds=30)
    with pytest.raises(NotSignedIn):
        callers.authenticate(None)
    assert lines()[3:] == ["no token was sent"]


def test_a_failed_fetch_is_logged_with_its_reason_and_the_check_names_it(
    entra: SimulatedEntra, callers: EntraCallers, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    entra.add_fault("status", route=KEYS, status=400)
    with pytest.raises(SignInUnavailable) as refused:
        callers.check()
    assert "no keys came with status 400" in refused.value.detail
    assert "POLYSYNC_ENTRA_TENANT" in refused.value.detail
    with pytest.raises(SignInUnavailable) as told:
        _sign_in(callers, entra.issue())
    assert "400" not in told.value.detail
    assert caplog.messages.count("Entra ID's signing keys were not fetched: no keys came with status 400") == 1
    clock.pass_time(seconds=30)
    assert callers.check() == "keys are known"
    entra.down()
    clock.pass_time(hours=24)
    assert callers.check() == "keys are known; the last fetch failed: ConnectionError"
    assert entra.url not in caplog.text.replace("urllib3", "")
