"""The public keys with which Entra ID signs the tokens of one tenant."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import requests

from polysync_core.adapters.clock import Clock
from polysync_core.values.caller import EntraDoor
from polysync_core.values.errors import SignInUnavailable

if TYPE_CHECKING:
    from jwt import PyJWK

KEYS_KEPT_SECONDS = 24 * 3600.0
FETCH_EVERY_SECONDS = 30.0
"""The keys are fetched at most this often, whatever key ids callers send, and whether the last fetch worked or not."""
_FETCH_TIMEOUT_SECONDS = 5.0
_log = logging.getLogger("polysync.door")


class SigningKeys:
    """The tenant's keys by their ids, kept for a day. Safe to use from all threads.

    An unknown id leads to a fetch, at most one in 30 s. When a fetch fails, the earlier keys go on being used.
    """

    def __init__(self, door: EntraDoor, clock: Clock) -> None:
        self._door = door
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._trouble = ""
        """Why the last fetch failed, without an address. Empty once a fetch works."""

    def find(self, key_id: object) -> PyJWK | None:
        """The key, or None if the tenant had none with this id at the last fetch.

        A key that the tenant has published since then is unknown for up to 30 s. Entra publishes a key long before it
        signs with it. Raises SignInUnavailable for an unknown id if the last fetch failed: the key may be a good one.
        """
        if not isinstance(key_id, str):
            return None
        found = self._keys.get(key_id)
        if found is not None and not self._is_old():
            return found
        self._fetch_in_turn(wait=found is None)  # a caller with a known key does not wait for a fetch
        found = self._keys.get(key_id)
        if found is None and self._trouble:
            raise SignInUnavailable("Entra ID's signing keys cannot be fetched now.", retry_after_seconds=30)
        return found

    def check(self) -> str:
        """How the keys are, for the health. Raises SignInUnavailable if there are none, with the reason."""
        if not self._keys or self._is_old():
            self._fetch_in_turn(wait=True)
        if not self._keys:
            raise SignInUnavailable(
                f"Entra ID's signing keys cannot be fetched: {self._trouble}. "
                "Check POLYSYNC_ENTRA_TENANT and POLYSYNC_ENTRA_AUTHORITY, and the way out of the app's network."
            )
        return f"keys are known; the last fetch failed: {self._trouble}" if self._trouble else "keys are known"

    def _is_old(self) -> bool:
        return self._clock.monotonic() - self._fetched_at >= KEYS_KEPT_SECONDS

    def _fetch_in_turn(self, *, wait: bool) -> None:
        if self._lock.acquire(blocking=wait):
            try:
                if self._clock.monotonic() - self._tried_at >= FETCH_EVERY_SECONDS:
                    self._tried_at = self._clock.monotonic()
                    self._fetch()
            finally:
                self._lock.release()

    def _fetch(self) -> None:
        import jwt  # imported with the first token, so that an app with keys never waits for it

        keys: dict[str, PyJWK] = {}
        try:
            answer = requests.get(self._door.keys_url, timeout=_FETCH_TIMEOUT_SECONDS, allow_redirects=False)
            if answer.status_code == 200:
                found = jwt.PyJWKSet.from_dict(answer.json()).keys
                keys = {key.key_id: key for key in found if key.key_id and key.key_type == "RSA"}
            trouble = "" if keys else f"no keys came with status {answer.status_code}"
        except (requests.RequestException, jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            trouble = type(error).__name__
        if trouble:
            self._trouble = trouble
            _log.warning("Entra ID's signing keys were not fetched: %s", trouble, extra={"action": "sign_in"})
            return
        self._keys = keys
        self._fetched_at = self._clock.monotonic()
        self._trouble = ""
