"""Schemas of the OpenAPI 3.1 document in the words of OpenAPI 2.0.

Sources: https://spec.openapis.org/oas/v2.0.html#schema-object, and for x-nullable
https://redocly.com/docs/api-reference-docs/specification-extensions/x-nullable/
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_SCHEMAS = "#/components/schemas/"
_NULL = {"type": "null"}
_FLAG = ["boolean", "string"]
_OBJECT_OR_WORD = [None, "string"]
_SCALAR = ["boolean", "integer", "number", "string"]
_SAME = frozenset(
    {
        *("type", "title", "description", "format", "pattern", "enum", "default", "required", "additionalProperties"),
        *("minLength", "maxLength", "minimum", "maximum", "maxProperties", "minItems", "maxItems", "uniqueItems"),
    }
)
"""The words that mean the same in both versions."""


def encode_schema(schema: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return `schema` as version 2.0 has it. `named` holds the schemas of the 3.1 document by name.

    Knows the forms that our own document uses. Raises NotImplementedError for any other.
    """
    if schema.keys() == {"$ref"}:
        return {"$ref": f"#/definitions/{schema_name(schema)}"}
    if "$ref" in schema:
        return encode_schema(_inlined(schema, named), named)
    if "anyOf" in schema:
        return _encode_choice(schema, named)
    told = {word: schema[word] for word in schema if word in _SAME}
    if isinstance(schema.get("additionalProperties"), Mapping):
        told["additionalProperties"] = encode_schema(schema["additionalProperties"], named)
    # Version 2.0 cannot limit the names of properties, so propertyNames is left out.
    refuse_unknown(schema, {*_SAME, "const", "properties", "items", "propertyNames"})
    if "const" in schema:
        told["enum"] = [schema["const"]]
    if "properties" in schema:
        told["properties"] = {name: encode_schema(field, named) for name, field in schema["properties"].items()}
    if "items" in schema:
        told["items"] = encode_schema(schema["items"], named)
    return told


def schema_name(reference: Mapping[str, Any]) -> str:
    """Return the name of the schema to which `reference` refers. Raises NotImplementedError for any other target."""
    target: str = reference["$ref"]
    if not target.startswith(_SCHEMAS):
        raise NotImplementedError(f"OpenAPI 2.0 of a reference to {target}")
    return target.removeprefix(_SCHEMAS)


def refuse_unknown(told: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise NotImplementedError if `told` has a word that is not `known`."""
    unknown = told.keys() - set(known)
    if unknown:
        raise NotImplementedError(f"OpenAPI 2.0 of {', '.join(sorted(unknown))}")


def _inlined(schema: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the schema to which `schema` refers, with the words beside the reference. 2.0 ignores such words."""
    target = {word: value for word, value in named[schema_name(schema)].items() if word != "title"}
    return target | {word: value for word, value in schema.items() if word != "$ref"}


def _encode_choice(schema: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Version 2.0 has no anyOf. Null becomes x-nullable, and a flag a boolean.

    Any scalar, and an object or a word, become a schema without a type.
    """
    beside = {word: value for word, value in schema.items() if word != "anyOf"}
    if beside.get("default") is None:
        # The default has to fit the type, which null does not.
        beside.pop("default", None)
    choices: list[Mapping[str, Any]] = [choice for choice in schema["anyOf"] if choice != _NULL]
    nullable = {"x-nullable": True} if len(choices) < len(schema["anyOf"]) else {}
    types = [choice.get("type") for choice in choices]
    if types not in ([types[0]], _FLAG, _SCALAR, _OBJECT_OR_WORD):
        raise NotImplementedError(f"OpenAPI 2.0 of a choice between {', '.join(map(str, types))}")
    chosen = {} if types in (_SCALAR, _OBJECT_OR_WORD) else choices[0]
    return encode_schema((_inlined(chosen, named) if "$ref" in chosen else {**chosen}) | beside, named) | nullable
