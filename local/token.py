"""Print an access token of the simulated Entra ID tenant that runs on this machine.

    TOKEN=$(python -m local.token --role Operate --workspace finance)
    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:7071/api/runs

It exits with 1 when no issuer answers, and with 2 for wrong arguments. The error is on standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from urllib.parse import urlsplit

import requests

from local.entra import PORT, role_name

ROLES = ("Read", "Operate", "Admin")
_SECONDS = 10


class NoIssuer(Exception):
    """No local issuer answers at the address."""


def fetch_token(issuer_url: str, arguments: dict[str, object]) -> str:
    """Return a token from the issuer's control route. `arguments` are those of Issuer.issue. Raises NoIssuer."""
    alone = f".venv/bin/python -m local.entra --port {urlsplit(issuer_url).port}"
    start = f"Start one with the app: make demo ARGS=--stay, or alone: {alone}"
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the environment does not reach a loopback address
        try:
            answer = session.post(f"{issuer_url}/_sim/issue", json=arguments, timeout=_SECONDS)
        except requests.RequestException:
            raise NoIssuer(f"No issuer answers at {issuer_url}. {start}") from None
    try:
        return str(answer.json()["result"])
    except (ValueError, TypeError, KeyError):
        raise NoIssuer(f"What answers at {issuer_url} is not the local issuer. {start}") from None


def _loopback_url(given: str) -> str:
    """Decode --issuer. Only the local issuer gives tokens to everybody, so no other address is asked."""
    try:
        parts = urlsplit(given)
        is_loopback = (parts.hostname or "").startswith("127.") or parts.hostname in {"localhost", "::1"}
        if parts.scheme == "http" and is_loopback and parts.port is not None and parts.path in {"", "/"}:
            return given.rstrip("/")
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"{given!r} is not the address of a local issuer, like http://127.0.0.1:{PORT} "
        f"(without --issuer it is POLYSYNC_ENTRA_AUTHORITY)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.token", description="Prints a token of the local issuer.")
    parser.add_argument("--role", action="append", default=[], choices=ROLES, help="repeat it for several")
    parser.add_argument("--workspace", metavar="NAME", help="the roles hold for this workspace alone")
    parser.add_argument("--object-id", metavar="UUID", help="the caller's (default: one for each set of roles)")
    parser.add_argument("--user", action="store_true", help="a person instead of an application")
    parser.add_argument("--seconds", type=float, default=3600, help="how long it is valid (default: %(default)s)")
    parser.add_argument(
        "--issuer",
        type=_loopback_url,
        default=os.environ.get("POLYSYNC_ENTRA_AUTHORITY") or f"http://127.0.0.1:{PORT}",
        metavar="URL",
        help="default: POLYSYNC_ENTRA_AUTHORITY, here %(default)s",
    )
    options = parser.parse_args()
    if options.workspace is not None and not options.role:
        parser.error("--workspace needs a --role")
    arguments = {
        "roles": [role_name(role, options.workspace) for role in options.role],
        "kind": "user" if options.user else "app",
        "object_id": options.object_id,
        "seconds": options.seconds,
    }
    try:
        print(fetch_token(options.issuer, arguments))
    except NoIssuer as error:
        print(f"local.token: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
