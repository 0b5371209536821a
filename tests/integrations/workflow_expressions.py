"""Evaluates the expressions that the definitions of integrations/ use. They are a small part of the language.

https://learn.microsoft.com/azure/logic-apps/workflow-definition-language-functions-reference
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_EMBEDDED = re.compile(r"@\{((?:[^{}'@]|'(?:[^']|'')*')+)\}")
_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(\w+)|(\?\[|[()\[\],.]))")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The values that expressions can use. `bodies` gets an entry for each action."""

    parameters: Mapping[str, object]
    run_name: str
    callback_url: str
    bodies: dict[str, Any] = field(default_factory=dict)

    def call(self, function: str, arguments: list[Any]) -> Any:
        if function == "parameters":
            return self.parameters[arguments[0]]
        if function == "body":
            return self.bodies.get(arguments[0])
        if function == "workflow":
            return {"run": {"name": self.run_name}}
        if function == "listCallbackUrl":
            return self.callback_url
        assert function == "coalesce", f"{function}() is not known here"
        return next((argument for argument in arguments if argument is not None), None)


def evaluate(value: Any, scope: Scope) -> Any:
    """Evaluate the expressions in `value`. "@…" keeps the type of its result, "…@{…}…" becomes text."""
    if isinstance(value, dict):
        return {key: evaluate(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [evaluate(inner, scope) for inner in value]
    if not isinstance(value, str):
        return value
    if value.startswith("@") and not value.startswith("@{"):
        return _Parser(value[1:], scope).whole()
    return _EMBEDDED.sub(lambda found: _as_text(_Parser(found[1], scope).whole()), value)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


class _Parser:
    """Parses name(argument, …) and 'text', each followed by any of .name, ['name'] and ?['name']."""

    def __init__(self, expression: str, scope: Scope) -> None:
        self._expression = expression
        self._scope = scope
        self._at = 0

    def whole(self) -> Any:
        value = self._value()
        assert self._at == len(self._expression), f"not understood: {self._expression[self._at :]}"
        return value

    def _value(self) -> Any:
        token = self._next()
        if token[1] is not None:
            value: Any = token[1].replace("''", "'")
        else:
            assert self._next()[3] == "("
            value = self._scope.call(str(token[2]), self._arguments())
        while self._peek() in {".", "[", "?["}:
            opening = self._next()[3]
            key = self._next()
            if opening != ".":
                assert self._next()[3] == "]"
            name = key[2] if opening == "." else key[1]
            value = None if value is None and opening == "?[" else value.get(name)
        return value

    def _arguments(self) -> list[Any]:
        arguments: list[Any] = []
        while self._peek() != ")":
            arguments.append(self._value())
            if self._peek() == ",":
                self._next()
        self._next()
        return arguments

    def _peek(self) -> str | None:
        found = _TOKEN.match(self._expression, self._at)
        return found[3] if found else None

    def _next(self) -> re.Match[str]:
        found = _TOKEN.match(self._expression, self._at)
        assert found is not None, f"not understood: {self._expression[self._at :]}"
        self._at = found.end()
        return found
