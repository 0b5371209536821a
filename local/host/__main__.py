"""`python -m local.host [--port 7071] [--enable-auth] [--app DIR]`: serve a folder's function_app.py."""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from local.host.config import apply_local_settings
from local.host.functions import HostStartError
from local.host.server import LocalHost

KEY_SETTING = "POLYSYNC_LOCAL_KEY"


def main() -> int:
    """Return 0 after SIGTERM or SIGINT, 1 when the app cannot be started."""
    options = _parse_options()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop_asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_asked.set())
    try:
        apply_local_settings(options.app, os.environ)
        sys.path.insert(0, str(options.app.resolve()))
        host = LocalHost(options.app, key=_read_key() if options.enable_auth else None, port=options.port).start()
    except HostStartError as error:
        print(f"The app cannot be started: {error}", file=sys.stderr)
        return 1
    print("Functions:", *host.describe(), f"Listening on {host.url}", sep="\n", flush=True)
    stop_asked.wait()
    print("Stopping", flush=True)
    if not host.stop():
        print("A function was still running", flush=True)
        logging.shutdown()
        os._exit(0)  # a normal exit would wait for the thread that still runs the function
    return 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Serve an Azure Functions app locally.")
    parser.add_argument("--port", type=int, default=7071, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--enable-auth", action="store_true", help=f"ask for the key in {KEY_SETTING}")
    parser.add_argument("--app", type=Path, default=Path(), help="folder of function_app.py (default: this one)")
    return parser.parse_args()


def _read_key() -> str:
    key = os.environ.get(KEY_SETTING, "")
    if not key:
        raise HostStartError(f"--enable-auth needs the key in the environment variable {KEY_SETTING}")
    return key


if __name__ == "__main__":
    sys.exit(main())
