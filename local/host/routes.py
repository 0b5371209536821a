"""Finds the function for a method and a path. The Functions host's rules differ from those of other routers.

A wrong method is no match (404), and HEAD is not GET. A failed constraint is no match. Literals match in any case. Of
overlapping routes, the first function by name wins (azure-functions-host, WebScriptHostHttpRoutesManager).
"""

import re
from dataclasses import dataclass
from itertools import combinations

from local.host.functions import Functions, HostedFunction, HostStartError, HttpTrigger

_CONSTRAINTS = {
    "int": r"-?\d{1,10}",
    "alpha": r"[a-z]+",
    "guid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}
_PARAMETER = re.compile(r"\{(?P<star>\*?)(?P<name>[A-Za-z_]\w*)(?::(?P<constraint>\w+))?(?P<optional>\??)\}")


@dataclass(frozen=True)
class Route:
    """One HTTP function, and the pattern that its whole path must match."""

    function: HostedFunction
    trigger: HttpTrigger
    path: str
    pattern: re.Pattern[str]


def build_routes(functions: Functions, prefix: str) -> tuple[Route, ...]:
    """Return the routes in the order in which they are tried.

    Raises HostStartError for reserved, duplicate or unsupported routes. A route that begins with the letters `admin` or
    `runtime` is reserved. Two functions with the same route text and a common method are duplicates
    (azure-functions-host, ScriptHost.ValidateHttpFunction).
    """
    routes = []
    for function in sorted(functions, key=lambda function: function.name.lower()):
        if isinstance(function.trigger, HttpTrigger):
            if function.trigger.route.lower().startswith(("admin", "runtime")):
                raise HostStartError(
                    f"{function.name}: the route {function.trigger.route!r} conflicts with the host's own routes"
                )
            path = "/" + "/".join(part for part in (prefix, function.trigger.route) if part)
            routes.append(Route(function, function.trigger, path, _pattern(function.name, path)))
    for first, second in combinations(routes, 2):
        if first.path.lower() == second.path.lower() and first.trigger.methods & second.trigger.methods:
            raise HostStartError(f"{second.function.name}: its route is that of {first.function.name}: {second.path}")
    return tuple(routes)


def match(routes: tuple[Route, ...], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the first route that takes this method and decoded path, and its parameters. None means 404."""
    for route in routes:
        if method in route.trigger.methods and (found := route.pattern.fullmatch(path)):
            return route, {name: value for name, value in found.groupdict().items() if value is not None}
    return None


def _pattern(name: str, path: str) -> re.Pattern[str]:
    return re.compile("".join(_segment(name, text) for text in path.split("/")[1:]) + "/?", re.IGNORECASE)


def _segment(name: str, text: str) -> str:
    if not set("{}") & set(text):
        return "/" + re.escape(text)
    parameter = _PARAMETER.fullmatch(text)
    constraint = parameter["constraint"] if parameter else None
    if not parameter or (constraint and constraint not in _CONSTRAINTS):
        raise HostStartError(f"{name}: the local host does not know the route segment {text!r}")
    values = ".*" if parameter["star"] else _CONSTRAINTS.get(constraint or "", "[^/]+")
    segment = f"/(?P<{parameter['name']}>{values})"
    return f"(?:{segment})?" if parameter["star"] or parameter["optional"] else segment
