"""Breaking things, and counting what became of it in the workspace's own books, never by the app's word.

stage      storage and a workspace behind fault proxies, in simulated time; the app on it, and its callers' requests
wishes     what callers want, how they repeat it, and what they were told
scenarios  the paths: start, sweep, cancel, read, callback
kinds      what is done to a call
play       a scenario while faults happen, then the aftermath
books      what the workspace and the stored rows say, independently of the core's own readers
judging    wishes + books -> Verdict
reads      whether answers of reads were true
single     every fault on every call, one at a time
pairs      a start's POST and its look-ups fail together
outages    one side is away for ten minutes
races      two instances and all callers at one run at once, round after round
kills      kill -9 of a real local host while callers go on
soak       two days of simulated time with a fault in every hundredth call
table      verdicts -> the table of docs/reliability.md

`python -m tests.chaos` (make chaos) runs the long form, test_chaos.py a short one.
"""
