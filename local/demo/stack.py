"""Starts and stops everything that the demo runs."""

from __future__ import annotations

import base64
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.azurite import Azurite
from local.demo.callers import Callers, KeyCallers, TokenCallers, default_issuer
from local.entra import PORT as ENTRA_PORT
from local.entra import SimulatedEntra
from local.host import HostStartError, LocalHost
from local.receiver import Receiver
from local.workspace import SimulatedWorkspace
from polysync_core import services
from polysync_core.rules.decisions.callback_addresses import DEFAULT_HOSTS
from polysync_core.rules.wire.entra_settings import CALLERS, ENTRA, ENTRA_NAMES, KEYS

ROOT = Path(__file__).resolve().parents[2]
MODES = (ENTRA, KEYS)
KEY = "demo-key"
PORT = 7071
TIMER = "*/2 * * * * *"
PACE_SECONDS = 1.5
PIPELINES = 120
LATENCY_SECONDS = 0.05
_DECIDED_HERE = ENTRA_NAMES | {"POLYSYNC_PUBLIC_URL"}
"""Settings that always have the demo's value: who is let in, and the host of the links in answers."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running app, and a receiver of its callbacks.

    `workspace` is None when the app uses a real workspace. The app signs callbacks with `callback_secret`, which is
    POLYSYNC_CALLBACK_SECRET. `unused` are the settings of the environment that the demo has replaced by its own.
    """

    url: str
    callers: Callers
    workspace: SimulatedWorkspace | None
    receiver: Receiver
    callback_secret: str
    log_file: Path
    unused: tuple[str, ...]

    def readme_differences(self) -> list[str]:
        """Return what to change in the commands of the README before they work here. Without differences, nothing."""
        found = []
        if isinstance(self.callers, KeyCallers):
            found.append(f"send -H 'x-functions-key: {KEY}' instead of -H \"Authorization: …\"")
        elif isinstance(self.callers, TokenCallers) and self.callers.names_issuer:
            found.append("get tokens with the commands above, which name the issuer's address")
        if not self.url.endswith(f":{PORT}"):
            found.append(f"write {self.url} for the app's address, because port {PORT} was taken")
        if self.workspace is None:
            found.append("write the id of your own pipeline")
        return found


@contextmanager
def running_stack(log_file: Path, mode: str, pace_seconds: float) -> Iterator[Stack]:
    """Start everything, and stop everything at the end of the block. The app's log is written to `log_file`.

    mode: one of MODES, how callers are let in. With `entra` their issuer is simulated, also for a real workspace.
    pace_seconds: how long each state of an update lasts in the simulated workspace.
    """
    is_real = bool(os.environ.get("DATABRICKS_HOST") or os.environ.get("POLYSYNC_WORKSPACES"))
    usual_issuer = default_issuer()
    unused = _set_aside()
    _bypass_proxies()
    with ExitStack() as stack:
        _log_to(log_file)
        if not os.environ.get("POLYSYNC_TABLES"):
            os.environ["POLYSYNC_TABLES"] = stack.enter_context(Azurite()).connection_string
        workspace = None
        if not is_real:
            workspace = stack.enter_context(SimulatedWorkspace(pace_seconds=pace_seconds, host="127.0.0.1"))
            workspace.add_pipelines(PIPELINES)
            workspace.configure(latency_seconds=LATENCY_SECONDS)
            os.environ.update(workspace.environ())
        callers: Callers = KeyCallers(key=KEY)
        os.environ[CALLERS] = mode
        if mode == ENTRA:
            entra = _start_issuer(stack)
            os.environ.update(entra.environ())
            callers = TokenCallers(entra=entra, names_issuer=entra.url != usual_issuer)
        receiver = stack.enter_context(Receiver())
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        secret = os.environ.setdefault("POLYSYNC_CALLBACK_SECRET", secret)
        hosts = os.environ.get("POLYSYNC_CALLBACK_HOSTS") or DEFAULT_HOSTS
        os.environ["POLYSYNC_CALLBACK_HOSTS"] = f"{hosts},{receiver.host}"
        for name in ("POLYSYNC_SWEEP_SCHEDULE", "POLYSYNC_CALLBACK_SCHEDULE"):
            os.environ.setdefault(name, TIMER)
        services.forget()
        host = _start_host(stack)
        if isinstance(callers, TokenCallers):
            callers.entra.register_redirect(f"{host.url}/api/page")
        yield Stack(
            url=host.url,
            callers=callers,
            workspace=workspace,
            receiver=receiver,
            callback_secret=secret,
            log_file=log_file,
            unused=unused,
        )


def _set_aside() -> tuple[str, ...]:
    """Remove the settings that the demo decides from the environment, and return their names.

    All of them go together: a tenant or a denied caller of the user's beside an issuer of ours would let nobody in.
    """
    names = sorted(name for name in _DECIDED_HERE if os.environ.pop(name, "").strip())
    return tuple(names)


def _bypass_proxies() -> None:
    """Let the app reach 127.0.0.1 itself where the environment names a proxy. Of both spellings the lower case wins."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (given, "127.0.0.1")))


def _start_issuer(stack: ExitStack) -> SimulatedEntra:
    """Listen on the port that `python -m local.token` asks, if it is free. Otherwise take any free port."""
    try:
        return stack.enter_context(SimulatedEntra(host="127.0.0.1", port=ENTRA_PORT))
    except OSError:
        return stack.enter_context(SimulatedEntra(host="127.0.0.1"))


def _start_host(stack: ExitStack) -> LocalHost:
    """Listen on port 7071 if it is free, because the README uses it. Otherwise take any free port.

    With `entra` the key opens only the host's own /admin, as in Azure.
    """
    try:
        return stack.enter_context(LocalHost(ROOT, key=KEY, port=PORT))
    except HostStartError:
        return stack.enter_context(LocalHost(ROOT, key=KEY))


def _log_to(log_file: Path) -> None:
    handler = logging.FileHandler(log_file, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
