"""Runs schemathesis against the app on local.host, with requests that openapi.json allows and others that it does not.

No response may be a 5xx, because the simulated workspaces are healthy. Each response must match the document: status,
media type, headers, fields. A request that the document does not allow must be refused. Half of the requests are
changed to name existing pipelines, jobs and runs. The responses add more runs to these.

The app is served in each mode. Most requests have the right function key, or the token of an administrator. The others
have another role, a wrong token or none. `door` says, independently of the app, who may be let in.

    python -m tests.fuzz [--callers keys|entra|both] [--examples 500] [--seed N]

    credentials   what a request sends to be let in
    door          whether it was rightly let in or refused
    known         the ids, tokens and continuations that exist
    summary       the numbers of responses, and the failures
    fuzzing       the requests and their checks
"""
