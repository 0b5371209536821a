"""Servers on this machine for the callers' side: a Key Vault, and a host that receives callbacks."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from urllib.parse import parse_qs, urlsplit

from local.loopback import LoopbackServer
from local.messages import Reply, Request, json_reply

VAULT_RESOURCE = "https://vault.azure.net"


class JsonServer(LoopbackServer):
    """Answers every request with the status and the JSON that `respond` returns."""

    def __init__(self, respond: Callable[[Request], tuple[int, object]]) -> None:
        def reply(request: Request) -> Reply:
            status, content = respond(request)
            return json_reply(content, status=status)

        super().__init__(reply)


class KeyVault(JsonServer):
    """Returns one secret to callers with a managed identity's token for Key Vault."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        super().__init__(self._answer)

    @property
    def secret_url(self) -> str:
        return f"{self.url}/secrets/polysync-key"

    def _answer(self, request: Request) -> tuple[int, object]:
        parts = urlsplit(request.target)
        if request.headers.get("authorization") != f"Bearer {vault_token()}":
            return 401, {"error": {"code": "Unauthorized", "message": "AKV10000"}}
        if (
            request.method != "GET"
            or parts.path != "/secrets/polysync-key"
            or "api-version" not in parse_qs(parts.query)
        ):
            return 400, {"error": {"code": "BadParameter", "message": request.target}}
        return 200, {"value": self._secret, "id": self.secret_url, "attributes": {"enabled": True}}


def vault_token() -> str:
    """Return the token for Key Vault that Entra ID would issue to a managed identity."""
    return f"token-for-{VAULT_RESOURCE}"


class CallbackHost(JsonServer):
    """Stands in for the hosts that receive callbacks for Data Factory and Logic Apps. Each waiter has an address."""

    def __init__(self) -> None:
        self._arrived: dict[str, SimpleQueue[Request]] = {}
        super().__init__(self._answer)

    def new_address(self, name: str) -> str:
        """Return a new address. Its query is a credential, as in Azure."""
        path = f"/callbacks/{name}-{len(self._arrived)}?sig=callback-credential"
        self._arrived[path] = SimpleQueue()
        return f"{self.url}{path}"

    def next_at(self, address: str, *, within_seconds: float) -> Request | None:
        """Return the next callback at that address, or None when none comes in time."""
        try:
            return self._arrived[address.removeprefix(self.url)].get(timeout=within_seconds)
        except Empty:
            return None

    def _answer(self, request: Request) -> tuple[int, object]:
        waiter = self._arrived.get(request.target)
        if waiter is None or request.method != "POST":
            return 404, {}
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return 415, {}
        waiter.put(request)
        return 200, {}
