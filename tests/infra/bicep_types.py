"""Checks resources against Microsoft's own types. types/README.md names the source of the types."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.infra.bicep import Expression, Resource, Value

_FOLDER = Path(__file__).parent / "types"
_FILES = [json.loads((_FOLDER / name).read_text()) for name in ("bicep.json", "models.json")]
RESOURCES: dict[str, dict[str, object]] = {kind: body for file in _FILES for kind, body in file["resources"].items()}
_OBJECTS: dict[str, dict[str, dict[str, object]]] = {
    space: objects for file in _FILES for space, objects in file["objects"].items()
}
_EVERY_RESOURCE = {"parent", "scope", "dependsOn"}
_PLAIN = {"string": str, "bool": bool, "int": int}


def findings(resource: Resource) -> list[str]:
    """Return one line for each property that Azure would refuse. A well-typed resource has none."""
    declared = RESOURCES.get(resource.kind)
    if declared is None:
        near = [kind for kind in RESOURCES if kind.split("@")[0] == resource.kind.split("@")[0]]
        return [f"{resource.symbol}: {resource.kind} is unknown; known: {', '.join(near) or 'no such type'}"]
    body = {name: value for name, value in resource.body.items() if name not in _EVERY_RESOURCE}
    return list(_Space(_OBJECTS[str(declared["space"])]).check_object(body, declared, resource.symbol))


@dataclass(frozen=True, slots=True)
class _Space:
    """The object types of one provider, by name."""

    objects: Mapping[str, dict[str, object]]

    def check(self, value: Value, declared: str, where: str) -> Iterator[str]:
        if isinstance(value, Expression) or value is None or declared in {"any", "map"}:
            return
        if declared.endswith("[]"):
            if not isinstance(value, list):
                yield f"{where}: a list is needed"
                return
            for position, item in enumerate(value):
                yield from self.check(item, declared.removesuffix("[]").strip("()"), f"{where}[{position}]")
        elif declared in self.objects:
            if isinstance(value, dict):
                yield from self.check_object(value, self.objects[declared], where)
            else:
                yield f"{where}: an object is needed"
        elif declared in _PLAIN:
            if type(value) is not _PLAIN[declared]:
                yield f"{where}: {declared} is needed, not {value!r}"
        else:
            yield from self._check_literal(value, declared.split(" | "), where)

    def check_object(self, value: dict[str, Value], declared: Mapping[str, object], where: str) -> Iterator[str]:
        properties = dict(_mapping(declared["properties"]))
        additional = declared.get("additional")
        if "cases" in declared:
            chosen = value.get(str(declared["discriminator"]))
            cases = _mapping(declared["cases"])
            if chosen not in cases:
                yield f"{where}.{declared['discriminator']}: {chosen!r} is none of {', '.join(cases)}"
                return
            case = self.objects[str(cases[str(chosen)])]
            properties |= _mapping(case["properties"])
            additional = case.get("additional")
        for name, item in value.items():
            place = f"{where}.{name}"
            if name in properties:
                field = _mapping(properties[name])
                if field.get("readOnly"):
                    yield f"{place}: only Azure sets it"
                yield from self.check(item, str(field["type"]), place)
            elif additional is not None:
                yield from self.check(item, str(additional), place)
            else:
                yield f"{place}: there is no such property{_meant(name, properties)}"
        for name, rule in properties.items():
            if _mapping(rule).get("required") and not _mapping(rule).get("readOnly") and name not in value:
                yield f"{where}.{name}: is missing"

    def _check_literal(self, value: Value, literals: list[str], where: str) -> Iterator[str]:
        if "string" in literals and isinstance(value, str):
            return
        if value not in literals:
            yield f"{where}: {value!r} is none of {', '.join(literals)}"


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _meant(name: str, known: Mapping[str, object]) -> str:
    same = [other for other in known if other.lower() == name.lower()]
    return f"; its name is {same[0]}" if same else ""
