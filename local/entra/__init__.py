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

A page signs people in, as at Entra, by the authorization-code flow with PKCE for a single-page app. A person picks who
to be, or a test says so before:

        entra.register_redirect(f"{app}/api/page")
        entra.sign_in_as(["Polysync.Operate"])              everybody is this person from now on, at once

Five routes are Entra's own. The issuer of its tokens is `{url}/{tenant}/v2.0`.

    GET /{tenant}/v2.0/.well-known/openid-configuration
    GET /{tenant}/discovery/v2.0/keys
    GET /{tenant}/oauth2/v2.0/authorize
    POST /{tenant}/oauth2/v2.0/token        grant_type authorization_code or refresh_token
    GET /{tenant}/oauth2/v2.0/logout

    keys                RSA keys with kid and x5t, and which of them are published
    claims              the claims of each form of token
    signing             header and claims to a token, also to forms that Entra never issues
    wrong               the wrong tokens, by name
    documents           the metadata and the key set
    issuer              the methods for tokens, keys and faults
    refusals            the errors, with their AADSTS numbers
    people              whom one can pick to be
    registrations       the redirect addresses of pages
    grants              codes and refresh tokens
    state               what the sign-in remembers, and its settings
    authorize           a call of authorize, decoded
    authorize_endpoint  authorize and logout
    token_endpoint      token, with its rules for single-page apps
    pages               the HTML that a person sees
    journal             the calls that were received
    sign_in             the methods for the sign-in of people
    simulated           SimulatedEntra with its server

Control routes are for other processes: `POST /_sim/{method}` takes a JSON object of the method's arguments. It answers
200 `{"result": …}`, or 400 or 404 `{"error": …}`. Only this issuer has them. It listens on a loopback address only.

    issue               roles, kind?, object_id?, client_id?, seconds?, claims?, without? -> token
    wrong_token         name, roles?, object_id? -> token
    rotate, forget_old                      -> the key id that signs, the key ids that are not published any more
    fetches             -> counts by route, keys and metadata
    clear_fetches
    register_redirect   url, client_id?
    configure_sign_in   fields of state.SignInSettings: access_token_seconds, refresh_token_seconds, access_claims, …
    sign_in_as          roles, object_id?, name?: everybody signs in as this person, until ask_who
    ask_who
    revoke_refresh_tokens   object_id? -> how many
    sign_in_calls       route? -> the calls of authorize, token and logout
    clear_sign_in       forgets all of these, back to the start
    add_fault           kind, route?, when?, times?, after?, seconds?, status?, … (fault.Fault)
    clear_faults, down, up

The routes of add_fault are metadata, keys, authorize, token and logout. A page cannot read a fault's own answer, unless
its `headers` name Access-Control-Allow-Origin.
"""

from local.entra.claims import AUDIENCE, OTHER_TENANT, PAGE_CLIENT, TENANT, role_name
from local.entra.issuer import AUTHORIZE, KEYS, LOGOUT, METADATA, TOKEN
from local.entra.registrations import DEFAULT_REDIRECTS
from local.entra.simulated import PORT, SimulatedEntra
from local.entra.wrong import WRONG_TOKENS

__all__ = [
    "AUDIENCE",
    "AUTHORIZE",
    "DEFAULT_REDIRECTS",
    "KEYS",
    "LOGOUT",
    "METADATA",
    "OTHER_TENANT",
    "PAGE_CLIENT",
    "PORT",
    "TENANT",
    "TOKEN",
    "WRONG_TOKENS",
    "SimulatedEntra",
    "role_name",
]
