"""Reads Bicep files as Python values. tree-sitter parses them, and nothing is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_STATEMENTS = {"if_statement", "for_statement"}


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression as text, because only Azure can evaluate it: a name, a call, a string with ${...} in it."""

    text: str


Value = str | int | bool | Expression | list["Value"] | dict[str, "Value"] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    symbol: str
    kind: str  # type and API version, such as Microsoft.Web/sites@2024-11-01
    body: dict[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    resources: tuple[Resource, ...]
    modules: dict[str, dict[str, Value]]
    parameters: dict[str, str]
    variables: dict[str, Value]
    outputs: tuple[str, ...]
    faults: tuple[str, ...]

    def resource(self, symbol: str) -> Resource:
        return next(resource for resource in self.resources if resource.symbol == symbol)


def read(path: Path) -> File:
    return parse(path.read_text())


def parse(source: str) -> File:
    """Parse a Bicep file. `faults` of the result names every place that is not valid Bicep.

    A parameter's value is its declaration with its decorators.
    """
    root = _PARSER.parse(source.encode()).root_node
    resources, modules, parameters, variables, outputs = [], {}, {}, {}, []
    decorators = ""
    for node in root.named_children:
        if node.type == "decorators":
            decorators = _text(node)
            continue
        name = _text(node.named_children[0]) if node.named_children else ""
        match node.type:
            case "resource_declaration":
                kind = _text(node.named_children[1]).strip("'")
                resources.append(Resource(symbol=name, kind=kind, body=_body(node)))
            case "module_declaration":
                modules[_text(node.named_children[1]).strip("'")] = _body(node)
            case "parameter_declaration":
                parameters[name] = f"{decorators}\n{_text(node)}".strip()
            case "variable_declaration":
                variables[name] = _value(node.named_children[1])
            case "output_declaration":
                outputs.append(name)
        decorators = ""
    return File(
        resources=tuple(resources),
        modules=modules,
        parameters=parameters,
        variables=variables,
        outputs=tuple(outputs),
        faults=tuple(_faults(root)),
    )


def _faults(node: Node) -> Iterator[str]:
    if node.is_error or node.is_missing:
        yield f"line {node.start_point[0] + 1}: {_text(node)[:60]!r} is not Bicep"
    for child in node.children:
        yield from _faults(child)


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _body(node: Node) -> dict[str, Value]:
    last = node.named_children[-1]
    while last.type in _STATEMENTS:
        last = last.named_children[-1]
    body = _value(last)
    return body if isinstance(body, dict) else {}


def _value(node: Node) -> Value:
    match node.type:
        case "object":
            return dict(_property(child) for child in node.named_children if child.type == "object_property")
        case "array":
            return [_value(child) for child in node.named_children if child.type != "comment"]
        case "boolean":
            return _text(node) == "true"
        case "number":
            return int(_text(node))
        case "null":
            return None
        case "string" if not any(child.type == "interpolation" for child in node.named_children):
            return "".join(_text(child) for child in node.named_children)
    return Expression(_text(node))


def _property(node: Node) -> tuple[str, Value]:
    name, value = node.named_children
    return _text(name).strip("'"), _value(value)
