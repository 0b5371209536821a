"""A simulated Entra ID tenant for laptops and tests: its metadata, its signing keys, and access tokens for callers.

In a test:

    with SimulatedEntra() as entra:
        entra.environ()                                     the settings of an app that trusts it
        entra.issue(["Polysync.Read"])                      a token of an application
        entra.issue(["Polysync.Read"], kind="user")         a token of a person, with scp "access"
        entra.issue([], claims={"aud": "x"}, without=["tid"])
        entra.wrong_token("expired")                        one of WRONG_TOKENS

From a shell, until SIGINT or SIGTERM. This first prints the lines to export:

    python -m local.entra [--port 8462]
    python -m local.token --role Operate [--workspace finance]

Two routes are Entra's own. The issuer of its tokens is `{url}/{tenant}/v2.0`.

    GET /{tenant}/v2.0/.well-known/openid-configuration
    GET /{tenant}/discovery/v2.0/keys

    keys          RSA keys with kid and x5t, and which of them are published
    claims        the claims of each form of token
    signing       header and claims to a token, also to forms that Entra never issues
    wrong         the wrong tokens, by name
    documents     the metadata and the key set
    issuer        the methods below, and the faults
    simulated     SimulatedEntra with its server

Control routes are for other processes: `POST /_sim/{method}` takes a JSON object of the method's arguments. It answers
200 `{"result": …}`, or 400 or 404 `{"error": …}`. Only this issuer has them. It listens on a loopback address only.

    issue         roles, kind?, object_id?, client_id?, seconds?, claims?, without? -> token
    wrong_token   name, roles?, object_id? -> token
    rotate, forget_old                     -> the key id that signs, the key ids that are not published any more
    fetches       -> counts by route, keys and metadata
    clear_fetches
    add_fault     kind, route?, when?, times?, after?, seconds?, status?, … (fault.Fault)
    clear_faults, down, up
"""

from local.entra.claims import AUDIENCE, OTHER_TENANT, TENANT, role_name
from local.entra.issuer import KEYS, METADATA
from local.entra.simulated import PORT, SimulatedEntra
from local.entra.wrong import WRONG_TOKENS

__all__ = [
    "AUDIENCE",
    "KEYS",
    "METADATA",
    "OTHER_TENANT",
    "PORT",
    "TENANT",
    "WRONG_TOKENS",
    "SimulatedEntra",
    "role_name",
]
