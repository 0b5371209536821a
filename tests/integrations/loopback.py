"""Servers on this machine that stand for what the callers bring along: a Key Vault, and the host of their callbacks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

VAULT_RESOURCE = "https://vault.azure.net"


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request: header names in lower case, `path` with its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class LoopbackServer:
    """Answers every request with `respond`: status and JSON."""

    def __init__(self, respond: Callable[[Received], tuple[int, object]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, content = respond(Received(method=self.command, path=self.path, headers=headers, body=body))
                answer = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = _serve  # noqa: N815  # the names that http.server asks for

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's own name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def authority(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class KeyVault(LoopbackServer):
    """Hands out one secret, to whoever brings a managed identity's token for Key Vault."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        super().__init__(self._respond)

    @property
    def secret_url(self) -> str:
        return f"{self.url}/secrets/polysync-key"

    def _respond(self, request: Received) -> tuple[int, object]:
        parts = urlsplit(request.path)
        if request.headers.get("authorization") != f"Bearer {identity_token(VAULT_RESOURCE)}":
            return 401, {"error": {"code": "Unauthorized", "message": "AKV10000"}}
        if (
            request.method != "GET"
            or parts.path != "/secrets/polysync-key"
            or "api-version" not in parse_qs(parts.query)
        ):
            return 400, {"error": {"code": "BadParameter", "message": request.path}}
        return 200, {"value": self._secret, "id": self.secret_url, "attributes": {"enabled": True}}


def identity_token(resource: str) -> str:
    """What a managed identity gets from Entra ID here."""
    return f"token-for-{resource}"


class CallbackHost(LoopbackServer):
    """Stands for the hosts that Data Factory and Logic Apps are called back on; one address for each waiter."""

    def __init__(self) -> None:
        self._arrived: dict[str, SimpleQueue[Received]] = {}
        super().__init__(self._respond)

    def new_address(self, name: str) -> str:
        """An address nobody had before; its query is a credential, as in Azure."""
        path = f"/callbacks/{name}-{len(self._arrived)}?sig=callback-credential"
        self._arrived[path] = SimpleQueue()
        return f"{self.url}{path}"

    def next_at(self, address: str, *, within_seconds: float) -> Received | None:
        """The next callback at that address, or None when none comes in time."""
        try:
            return self._arrived[address.removeprefix(self.url)].get(timeout=within_seconds)
        except Empty:
            return None

    def _respond(self, request: Received) -> tuple[int, object]:
        waiter = self._arrived.get(request.path)
        if waiter is None or request.method != "POST":
            return 404, {}
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return 415, {}
        waiter.put(request)
        return 200, {}
