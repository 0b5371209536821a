"""Lets a caller in: no endpoint of a guarded route runs before this has found who calls."""

from __future__ import annotations

from polysync_core.rules.decisions.roles import ROLE_OF_ROUTE, WHOLE_APP
from polysync_core.rules.wire.entra_settings import CALLERS
from polysync_core.rules.wire.http_contract import Call
from polysync_core.services import Services
from polysync_core.values.errors import RoleMissing, SettingsError


def admit(call: Call, route: str, services: Services) -> Services:
    """The services for this request. `route` is the name of its function. Raises NotSignedIn and RoleMissing.

    With function keys, the host has checked the key already. A route that is not in the table is open to nobody.
    Raises SettingsError where neither the host nor the app would check who calls.
    """
    role = ROLE_OF_ROUTE[route]
    if role is None:
        return services
    if services.callers is None:
        if not call.needs_key:
            raise SettingsError([f"{CALLERS}: has changed since the app's start. Restart the app."])
        return services
    caller = services.callers.authenticate(call.headers.get("authorization"))
    admitted = services.for_caller(caller, role)
    if route in WHOLE_APP:
        admitted.check_role(None)
    elif not admitted.workspaces:
        raise RoleMissing(f"This needs the role {role}, for the whole app or for one workspace.")
    return admitted
