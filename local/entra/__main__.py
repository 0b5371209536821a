"""python -m local.entra: see the docstring of the package."""

from __future__ import annotations

import argparse
import signal
import threading

from local.entra import PORT, SimulatedEntra


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.entra", description="A simulated Entra ID tenant.")
    parser.add_argument("--port", type=int, default=PORT, help="on 127.0.0.1; 0: a free one (default: %(default)s)")
    options = parser.parse_args()

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with SimulatedEntra(host="127.0.0.1", port=options.port) as entra:
        for name, value in entra.environ().items():
            print(f"export {name}={value}", flush=True)
        print("# python -m local.token --role Operate prints a token", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
