"""Breaks things and counts the outcome. The counts come from the workspace's own records, never from the app.

    scenarios ──> play <── fault_kinds      a path (start, sweep, cancel, read, callback) while faults happen
        │           │                       stage: storage and a workspace behind fault proxies, in simulated time
    requests        │                       the requests of callers, their repetitions and responses
        │           ▼
        │       recovery                    the faults stop, time passes, sweeps run
        ▼           ▼
    ledger ───> verdicts <── reads          the updates, the stored rows, and whether each response was true
                    │
                    ▼
             table, figures                 a table to print, docs/chaos-figures.csv

The parts:

    single     every fault on every call
    pairs      a start's POST and its look-ups
    outages    one side is down for ten minutes
    races      two instances and all callers act on one run
    kills      kill -9 of a real local host
    soak       two days of simulated time

`python -m tests.chaos` (make chaos) plays the long form, and test_chaos.py plays a short one.
"""
