"""What many active runs cost on paper: calls to Databricks, storage transactions, Functions, money, and limits.

    python -m bench.costs [--runs 10000 --workspaces 20 --pipelines 1000 --minutes 10 --group 200]

Without --runs it prints the table of docs/scale.md, which also holds the formulas. Nothing is measured here. Prices are
second-hand, because Microsoft's price pages could not be read. docs/scale.md says where they are from.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

MONTH_SECONDS = 30 * 86_400
RUN_CPU, CHANGE_CPU, END_CPU, WORKSPACE_CPU, CALLBACK_CPU = 0.000_13, 0.002, 0.005, 0.010, 0.020
"""Seconds of CPU: an unchanged run in a sweep, a change, an end, a workspace in a sweep, a callback."""
START_TRANSACTIONS, CALLBACK_TRANSACTIONS, DELETION_TRANSACTIONS = 5, 6, 3
ROWS_OF_A_RUN = 20
"""Rows that its start, its callback and its deletion read and write."""
STORAGE_SECONDS = 0.010
"""One call to storage. It is an assumption."""
PLACES, CONNECTIONS, HTTP_THREADS = 16, 16, 32
SWEEP_CPU_SECONDS, PASS_SECONDS, DISCOVERY_SECONDS = 8.0, 12.0, 225.0
"""What a sweep may use for CPU, and the longest sweep, delivery pass and scheduled discovery."""
WORKSPACE_UPDATES, PARTITION_ROWS, ACCOUNT_REQUESTS = 1_000, 2_000, 20_000
GB_SECOND_PRICE, MILLION_EXECUTIONS_PRICE, MILLION_TRANSACTIONS_PRICE = 0.000_026, 0.40, 0.036
FREE_GB_SECONDS, FREE_EXECUTIONS = 100_000, 250_000


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is assumed, and what follows. Each property is a formula of docs/scale.md. Times are in seconds."""

    runs: int
    workspaces: int
    pipelines: int
    minutes: float
    changes: float = 7
    every: float = 15
    callbacks_every: float = 15
    group: int = 200
    latency: float = 0.2
    memory_gb: float = 2

    # --- the load

    @property
    def ends(self) -> float:
        """Per second. As many runs start, end and send a callback."""
        return self.runs / (60 * self.minutes)

    @property
    def active(self) -> float:
        """In one workspace."""
        return self.runs / self.workspaces

    @property
    def ended(self) -> float:
        """In one workspace, from one sweep to the next."""
        return self.ends * self.every / self.workspaces

    @property
    def changed(self) -> float:
        return self.changes * self.ended

    @property
    def groups(self) -> int:
        """Sweeps in each interval. One, by the timer itself, unless there are more workspaces than `group`."""
        return ceil(self.workspaces / self.group)

    @property
    def ticks(self) -> float:
        return MONTH_SECONDS / self.every

    @property
    def passes(self) -> float:
        return MONTH_SECONDS / self.callbacks_every

    # --- Databricks

    @property
    def pages(self) -> int:
        """Of the list of pipelines, if listing costs less than single looks."""
        pages = ceil(self.pipelines / 100)
        return pages if self.active > pages else 0

    @property
    def looks(self) -> float:
        return ceil(self.active / 40) + self.ended if self.pages else self.active

    @property
    def discovery_calls(self) -> float:
        """Per hour, all workspaces."""
        wanted = self.workspaces * (self.pipelines + ceil(self.pipelines / 100))
        return min(wanted, DISCOVERY_SECONDS * CONNECTIONS / self.latency)

    @property
    def discovery_hours(self) -> float:
        wanted = self.workspaces * (self.pipelines + ceil(self.pipelines / 100))
        return max(1.0, wanted / (DISCOVERY_SECONDS * CONNECTIONS / self.latency))

    @property
    def calls_a_minute(self) -> float:
        sweeps = self.workspaces * (self.pages + self.looks) * 60 / self.every
        return sweeps + self.ends * 60 + self.discovery_calls / 60

    # --- storage

    @property
    def batches(self) -> float:
        """In a sweep of one workspace. On each page two writers begin with one change each, the rest goes by 32."""
        written = self.changed + self.ended
        return min(written, 2 * max(1, self.pages) + written / 32)

    @property
    def sweep_transactions(self) -> float:
        """Of one workspace: sweep|last twice, active and starting rows, batches; with groups, a claim."""
        claim = 3 if self.groups > 1 else 0
        return 2 + max(1, ceil(self.active / 1_000)) + 1 + self.batches + claim

    @property
    def transactions_a_second(self) -> float:
        sweeps = self.workspaces * (self.sweep_transactions / self.every + 1 / self.callbacks_every + 3 / 60)
        return sweeps + self.ends * (START_TRANSACTIONS + CALLBACK_TRANSACTIONS + DELETION_TRANSACTIONS)

    @property
    def rows_a_second(self) -> float:
        """Of one partition, read and written."""
        sweeps = (self.active + 3 * (self.changed + self.ended)) / self.every
        return sweeps + self.ends / self.workspaces * ROWS_OF_A_RUN

    # --- Functions

    @property
    def sweep_cpu(self) -> float:
        """Of the sweep of one group."""
        changes = self.changed * CHANGE_CPU + self.ended * END_CPU
        a_workspace = self.active * RUN_CPU + changes + WORKSPACE_CPU
        return self.workspaces / self.groups * a_workspace

    @property
    def sweep_seconds(self) -> float:
        calls = (self.pages + ceil(self.looks / 16)) * self.latency + 5 * STORAGE_SECONDS
        waiting = ceil(self.workspaces / self.groups / PLACES) * calls
        return min(PASS_SECONDS, max(1.0, self.sweep_cpu + waiting))

    @property
    def pass_cpu(self) -> float:
        """Of a pass over the callbacks that became due since the last one."""
        return self.ends * self.callbacks_every * CALLBACK_CPU

    @property
    def gb_seconds(self) -> float:
        """Per month. Starts that share an instance are billed once."""
        handing_out = 1.0 if self.groups > 1 else 0.0
        sweeps = self.ticks * (self.groups * self.sweep_seconds + handing_out)
        deliveries = self.passes * min(PASS_SECONDS, max(1.0, self.pass_cpu))
        starts = min(self.ends, ceil(self.ends / HTTP_THREADS)) * MONTH_SECONDS
        discovery = MONTH_SECONDS / 3_600 * max(1.0, self.discovery_calls * self.latency / CONNECTIONS)
        return self.memory_gb * (sweeps + deliveries + starts + discovery)

    @property
    def executions(self) -> float:
        """Per month."""
        sweeps = 1 + (self.groups if self.groups > 1 else 0)
        return self.ticks * sweeps + self.passes + MONTH_SECONDS / 3_600 + self.ends * MONTH_SECONDS

    # --- money a month

    @property
    def storage_money(self) -> float:
        return self.transactions_a_second * MONTH_SECONDS / 1e6 * MILLION_TRANSACTIONS_PRICE

    @property
    def execution_money(self) -> float:
        return max(0.0, self.executions - FREE_EXECUTIONS) / 1e6 * MILLION_EXECUTIONS_PRICE

    @property
    def time_money(self) -> float:
        return max(0.0, self.gb_seconds - FREE_GB_SECONDS) * GB_SECOND_PRICE

    # --- limits

    @property
    def used(self) -> dict[str, float]:
        """The used share of each limit. 1 is all of it."""
        return {
            "updates of a workspace": self.active / WORKSPACE_UPDATES,
            "rows of a partition": self.rows_a_second / PARTITION_ROWS,
            "requests of the account": self.transactions_a_second / ACCOUNT_REQUESTS,
            "CPU of a sweep": self.sweep_cpu / SWEEP_CPU_SECONDS,
            "CPU of a delivery pass": self.pass_cpu / PASS_SECONDS,
        }

    @property
    def first_limit(self) -> str:
        return max(self.used, key=self.used.__getitem__)


_SIZES = ((10, 1, 100, 200), (1_000, 2, 1_000, 200), (10_000, 20, 1_000, 200), (100_000, 200, 1_000, 20))
LOADS = tuple(
    Load(runs=runs, workspaces=workspaces, pipelines=pipelines, group=group, minutes=minutes)
    for minutes in (60, 10)
    for runs, workspaces, pipelines, group in _SIZES
)
"""The columns of docs/scale.md."""

_ROWS: Sequence[tuple[str, Callable[[Load], str]]] = (
    ("active runs", lambda load: f"{load.runs:,}"),
    ("minutes a run", lambda load: f"{load.minutes:g}"),
    ("workspaces", lambda load: f"{load.workspaces:,}"),
    ("pipelines in each", lambda load: f"{load.pipelines:,}"),
    ("`POLYSYNC_SWEEP_GROUP_WORKSPACES`", lambda load: f"{load.group}"),
    ("sweeps in an interval", lambda load: f"{load.groups}"),
    ("**Databricks**: calls a minute", lambda load: _number(load.calls_a_minute)),
    ("… to one workspace", lambda load: _number(load.calls_a_minute / load.workspaces)),
    ("hours of a whole discovery", lambda load: _number(load.discovery_hours)),
    ("**Storage**: million transactions a month", lambda load: _number(load.transactions_a_second * 2.592)),
    ("**Functions**: million executions a month", lambda load: _number(load.executions / 1e6)),
    ("seconds of a sweep", lambda load: _number(load.sweep_seconds)),
    ("thousand GB-s a month", lambda load: _number(load.gb_seconds / 1e3)),
    ("**Dollars a month**: storage", lambda load: _number(load.storage_money)),
    ("… executions", lambda load: _number(load.execution_money)),
    ("… GB-s", lambda load: _number(load.time_money)),
    (
        "… together",
        lambda load: f"**{_number(load.storage_money + load.execution_money + load.time_money)}**",
    ),
    *(
        (f"{'**Used**: ' if at == 0 else '… '}{name}", lambda load, name=name: _percent(load.used[name]))
        for at, name in enumerate(LOADS[0].used)
    ),
    ("first limit", lambda load: load.first_limit),
)


def table(loads: Sequence[Load]) -> str:
    """Return the table in Markdown, with one column for each load."""
    rows = [[name, *(show(load) for load in loads)] for name, show in _ROWS]
    head, *rest = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---|" + "--:|" * len(loads), *rest])


def _number(value: float) -> str:
    """One decimal below 10, whole numbers below 1,000, and whole hundreds above."""
    if value < 10:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < 1_000 else f"{round(value, -2):,.0f}"


def _percent(share: float) -> str:
    return "< 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description="Costs and limits, on paper.")
    parser.add_argument("--runs", type=int, help="active at a time, in all workspaces")
    parser.add_argument("--workspaces", type=int, default=1)
    parser.add_argument("--pipelines", type=int, default=1_000, help="of each workspace")
    parser.add_argument("--minutes", type=float, default=10, help="from a run's start to its end")
    parser.add_argument("--changes", type=float, default=7, help="changes of state of a run before its end")
    parser.add_argument("--every", type=float, default=15, help="seconds from one sweep to the next")
    parser.add_argument("--callbacks-every", type=float, default=15, help="seconds from one delivery pass to the next")
    parser.add_argument("--group", type=int, default=200, help="POLYSYNC_SWEEP_GROUP_WORKSPACES")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds of one answer of Databricks")
    parser.add_argument("--memory-gb", type=float, default=2, help="of an instance")
    options = vars(parser.parse_args(arguments))
    print(table(LOADS if options["runs"] is None else [Load(**options)]))


if __name__ == "__main__":
    main()
