"""The OpenAPI 2.0 (Swagger) document, made from the 3.1 document, for importers that read no newer version.

Such importers are custom connectors of Power Platform and Logic Apps. Source:
https://spec.openapis.org/oas/v2.0.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from polysync_core.rules.wire.openapi.document import PROBLEM
from polysync_core.rules.wire.openapi.operation import JSON
from polysync_core.rules.wire.openapi.swagger_schemas import encode_schema, refuse_unknown, schema_name

_HEADERS = "#/components/headers/"
_PARAMETERS = "#/components/parameters/"


def swagger_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI 2.0 document of the API that `document` describes in OpenAPI 3.1.

    Raises NotImplementedError for a form that our own 3.1 document did not use when this was written.
    """
    refuse_unknown(document, ("openapi", "info", "servers", "tags", "paths", "security", "components"))
    components = document["components"]
    refuse_unknown(components, ("schemas", "parameters", "headers", "securitySchemes"))
    [server] = document["servers"]
    address = urlsplit(server["url"])
    told = {
        "swagger": "2.0",
        "info": document["info"],
        "host": address.netloc,
        "basePath": address.path or "/",
        "schemes": [address.scheme],
        "consumes": [JSON],
        "produces": [JSON, PROBLEM],
        "tags": document["tags"],
        "paths": {
            path: {method: _operation(operation, components) for method, operation in item.items()}
            for path, item in document["paths"].items()
        },
        "security": document["security"],
        "securityDefinitions": {name: _security(told) for name, told in components["securitySchemes"].items()},
        "parameters": {name: _parameter(told, components) for name, told in components["parameters"].items()},
        "definitions": {
            name: encode_schema(told, components["schemas"]) for name, told in components["schemas"].items()
        },
    }
    _show_bodies(told["definitions"], document["paths"].values())
    _name_the_callback(told)
    return told


def _security(scheme: Mapping[str, Any]) -> dict[str, Any]:
    """A security scheme. 2.0 knows no bearer token, so one is a header whose value the caller writes whole."""
    if scheme["type"] == "apiKey":
        return dict(scheme)
    refuse_unknown(scheme, ("type", "scheme", "bearerFormat", "description"))
    if (scheme["type"], scheme["scheme"]) != ("http", "bearer"):
        raise NotImplementedError(f"the security scheme {scheme}")
    return {"type": "apiKey", "in": "header", "name": "Authorization", "description": scheme["description"]}


def _operation(operation: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    same = {"operationId", "tags", "summary", "description", "security"}
    refuse_unknown(operation, same | {"parameters", "requestBody", "responses"})
    parameters = [
        {"$ref": f"#/parameters/{_target(reference, _PARAMETERS)}"} for reference in operation.get("parameters", ())
    ]
    if "requestBody" in operation:
        parameters.append(_body(operation["requestBody"], components))
    told = {word: operation[word] for word in operation if word in same}
    told["responses"] = {status: _response(response, components) for status, response in operation["responses"].items()}
    return told | {"parameters": parameters} if parameters else told


def _body(body: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    refuse_unknown(body, ("description", "required", "content"))
    refuse_unknown(body["content"], (JSON,))
    return {
        "name": "body",
        "in": "body",
        "description": body["description"],
        "required": body["required"],
        "schema": encode_schema(body["content"][JSON]["schema"], components["schemas"]),
    }


def _response(response: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    refuse_unknown(response, ("description", "headers", "content"))
    told: dict[str, Any] = {"description": response["description"]}
    content = response.get("content", {})
    if len(content) > 1:
        raise NotImplementedError(f"OpenAPI 2.0 of a response with {' and '.join(content)}")
    for media_type, media in content.items():
        told["schema"] = encode_schema(media["schema"], components["schemas"])
        told["examples"] = {media_type: _first_example(media)}
    if "headers" in response:
        told["headers"] = {name: _header(header, components) for name, header in response["headers"].items()}
    return told


def _header(header: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    """Version 2.0 does not say whether a response always has a header, nor show an example of it."""
    if "$ref" in header:
        header = components["headers"][_target(header, _HEADERS)]
    refuse_unknown(header, ("required", "description", "schema", "example"))
    return {"description": header["description"], **encode_schema(header["schema"], components["schemas"])}


def _parameter(parameter: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    """Version 2.0 has no example of a parameter that is not the body."""
    refuse_unknown(parameter, ("name", "in", "description", "required", "schema", "example"))
    told = {word: parameter[word] for word in ("name", "in", "description", "required")}
    return told | encode_schema(parameter["schema"], components["schemas"])


def _target(reference: Mapping[str, Any], of: str) -> str:
    target: str = reference["$ref"]
    if reference.keys() != {"$ref"} or not target.startswith(of):
        raise NotImplementedError(f"OpenAPI 2.0 of a reference to {target}")
    return target.removeprefix(of)


def _show_bodies(definitions: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> None:
    """Put the first example of each body at its definition. A body has no example of its own in version 2.0."""
    for item in items:
        for operation in item.values():
            media = operation.get("requestBody", {}).get("content", {}).get(JSON, {})
            if "$ref" in media.get("schema", {}):
                definitions[schema_name(media["schema"])]["example"] = _first_example(media)


def _first_example(media: Mapping[str, Any]) -> object:
    return next(iter(media["examples"].values()))["value"]


def _name_the_callback(told: Mapping[str, Any]) -> None:
    """Mark start_update as an action that waits for its callback, in the words of custom connectors.

    Sources: https://learn.microsoft.com/connectors/custom-connectors/openapi-extensions says that an operation
    without x-ms-trigger is an action. x-ms-notification-url marks the field that gets the callback address, and
    x-ms-notification-content describes the callback. The designer of Logic Apps looks for the latter at the path, and
    only with it treats the action as a webhook: https://github.com/Azure/LogicAppsUX, `operationIsWebhook`.
    https://github.com/microsoft/CopilotStudioSamples/tree/main/extensibility/human-in-the-loop is such an action.

    When a flow is cancelled, the connector sends DELETE to `Location`, which this app answers with 404. So the update
    goes on.
    """
    fields = told["definitions"]["StartBody"]["properties"]
    fields["callbackUrl"] |= {"x-ms-notification-url": True, "x-ms-visibility": "internal"}
    # The connector always fills in callbackUrl, and a start refuses both addresses together.
    fields["callBackUri"]["x-ms-visibility"] = "internal"
    [item] = [item for item in told["paths"].values() if item.get("post", {}).get("operationId") == "start_update"]
    item["x-ms-notification-content"] = {
        "description": "The run, once it has finished.",
        "schema": {"$ref": "#/definitions/Run"},
    }
