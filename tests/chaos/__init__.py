"""Breaks things, and counts the outcome in the workspace's own ledger, never by what the app says.

scenarios ──> play <── fault_kinds      a path (start, sweep, cancel, read, callback) while faults happen
    │           │                       stage: storage and a workspace behind fault proxies, in simulated time
requests        │                       what callers want, how they repeat it, and what they were answered
    │           ▼
    │       recovery                    the faults stop, time passes, sweeps run
    ▼           ▼
ledger ───> verdicts <── reads          what the workspace and the stored rows hold; whether each answer was true
                │
                ▼
         table, figures                 a table to print, docs/chaos-figures.csv

The parts: single (every fault on every call), pairs (a start's POST and its look-ups), outages (one side is away for
ten minutes), races (two instances and all callers at one run), kills (kill -9 of a real local host), soak (two days of
simulated time). `python -m tests.chaos` (make chaos) plays the long form, test_chaos.py a short one.
"""
