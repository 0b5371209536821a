"""The people who can be picked on the sign-in page. Each of them, but one, may sign in with the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from local.entra.claims import Caller, caller, role_name

DENIED = "denied"
"""The name of the person who does not consent."""


def person(roles: Sequence[str], name: str, object_id: str | None = None) -> Caller:
    """A person with these roles. Without an id, the same roles get the same one, as in Issuer.issue()."""
    return replace(caller("user", roles, object_id), name=name)


PEOPLE: Mapping[str, Caller] = {
    "reader": person([role_name("Read")], "Rita Reader"),
    "operator": person([role_name("Operate")], "Otto Operator"),
    "admin": person([role_name("Admin")], "Ada Admin"),
    "nobody": person([], "Nora Nobody"),
}
