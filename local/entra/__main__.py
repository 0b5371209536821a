"""python -m local.entra: see the docstring of the package."""

from __future__ import annotations

import argparse
import signal
import threading

from local.entra import DEFAULT_REDIRECTS, PORT, SimulatedEntra


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m local.entra",
        description="A simulated Entra ID tenant. Programs get a token with python -m local.token. People sign in with"
        " the app's page, where they pick who they are.",
    )
    parser.add_argument("--port", type=int, default=PORT, help="on 127.0.0.1; 0: a free one (default: %(default)s)")
    parser.add_argument(
        "--redirect",
        action="append",
        metavar="URL",
        help="an address of the page, to which people come back after they signed in; repeat it for several"
        f" (default: {' and '.join(DEFAULT_REDIRECTS)})",
    )
    options = parser.parse_args()

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with SimulatedEntra(host="127.0.0.1", port=options.port, redirects=options.redirect or DEFAULT_REDIRECTS) as entra:
        for name, value in entra.environ().items():
            print(f"export {name}={value}", flush=True)
        print("# python -m local.token --role Operate prints a token", flush=True)
        print(f"# people sign in from {', '.join(options.redirect or DEFAULT_REDIRECTS)}", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
