"""What the check of an access token costs: milliseconds of a call, beside a call without a check.

    python -m bench.sign_in [--calls 2000]

The tenant is simulated (local.entra), and its signing keys are fetched before the measured calls.
"""

from __future__ import annotations

import argparse
import statistics
import time

from local.entra import SimulatedEntra
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.entra_callers import EntraCallers
from polysync_core.rules.wire.entra_settings import read_door


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sign_in", description="The check of a token, measured.")
    parser.add_argument("--calls", type=int, default=2_000)
    options = parser.parse_args()
    with SimulatedEntra() as entra:
        door = read_door(entra.environ(), lambda name, problem: print(name, problem))
        assert door is not None
        callers, header = EntraCallers(door, Clock()), f"Bearer {entra.issue(['Polysync.Operate'])}"
        began = time.perf_counter()
        callers.authenticate(header)
        first = time.perf_counter() - began
        seconds = []
        for _ in range(options.calls):
            began = time.perf_counter()
            callers.authenticate(header)
            seconds.append(time.perf_counter() - began)
        fetches = entra.fetches()["keys"]
    print("calls  ms, median    p99    the first, with the import and the keys  fetches of the keys")
    percentiles = statistics.quantiles(seconds, n=100)
    print(
        f"{options.calls:>5} {percentiles[49] * 1000:>11.3f} {percentiles[98] * 1000:>6.3f} {first * 1000:>42.0f} "
        f"{fetches:>20}"
    )


if __name__ == "__main__":
    main()
