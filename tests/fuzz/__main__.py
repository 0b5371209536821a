"""python -m tests.fuzz: see the docstring of the package."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from local.azurite import Azurite
from polysync_core.rules.wire.entra_settings import ENTRA, KEYS
from tests.fuzz.fuzzing import fuzz

BOTH = "both"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="schemathesis against the app")
    parser.add_argument(
        "--callers",
        choices=(KEYS, ENTRA, BOTH),
        default=BOTH,
        help="the mode of the app; both: half of the requests in each (default: %(default)s)",
    )
    parser.add_argument("--examples", type=int, default=500, help="requests to each route (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="that of an earlier summary")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # refused requests are expected, and a bug is logged as an error
    modes = (KEYS, ENTRA) if options.callers == BOTH else (options.callers,)
    has_failed = False
    with Azurite() as azurite:
        for mode in modes:
            summary = fuzz(azurite.connection_string, mode, max(1, options.examples // len(modes)), options.seed)
            print(f"{summary}\n", flush=True)
            has_failed = has_failed or bool(summary.failures)
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
