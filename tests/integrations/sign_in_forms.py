"""Derives the templates with which a caller signs in (Entra ID) from those with a function key. Pure, but for main().

A test compares the files with what is derived here, so that the two forms stay the same in all but the sign-in. After
a change of a template with a key, write the other one:

    python -m tests.integrations.sign_in_forms
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integrations.stack import INTEGRATIONS

PIPELINES = INTEGRATIONS / "data-factory" / "pipeline"
WORKFLOWS = INTEGRATIONS / "logic-apps"
KEY_ACTIVITY, KEY_ACTION = "Get function key", "Get_function_key"
KEY_HEADER = "x-functions-key"
Document = dict[str, Any]


def signed_in_pipeline(pipeline: Mapping[str, Any]) -> Document:
    """Return the Data Factory pipeline that calls the app with the factory's managed identity.

    https://learn.microsoft.com/azure/data-factory/control-flow-web-activity#managed-identity
    """
    made: Document = copy.deepcopy(dict(pipeline))
    made["name"] = made["name"].replace("polysync_", "polysync_entra_", 1)
    properties = made["properties"]
    properties["description"] += " It signs in with the factory's managed identity."
    properties["activities"] = [
        _signed_in_activity(activity) for activity in properties["activities"] if activity["name"] != KEY_ACTIVITY
    ]
    properties["parameters"] = {
        "appResource" if name == "keySecretUrl" else name: kind for name, kind in properties["parameters"].items()
    }
    return made


def _signed_in_activity(activity: Document) -> Document:
    properties = activity["typeProperties"]
    activity["dependsOn"] = [step for step in activity["dependsOn"] if step["activity"] != KEY_ACTIVITY]
    for name, inner in properties.items():
        if name.lower().endswith("activities"):
            properties[name] = [_signed_in_activity(step) for step in inner]
    if KEY_HEADER in properties.get("headers", {}):
        del properties["headers"][KEY_HEADER]
        if not properties["headers"]:
            del properties["headers"]
        resource = {"value": "@pipeline().parameters.appResource", "type": "Expression"}
        properties["authentication"] = {"type": "MSI", "resource": resource}
        # With the key gone, only the callBackUri of a WebHook activity is a credential.
        activity["policy"]["secureInput"] = activity["type"] == "WebHook"
    return activity


def signed_in_workflow(workflow: Mapping[str, Any]) -> Document:
    """Return the workflow of Logic Apps that calls the app with the workflow's managed identity.

    https://learn.microsoft.com/azure/logic-apps/authenticate-with-managed-identity
    """
    made: Document = copy.deepcopy(dict(workflow))
    definition = made["definition"]
    definition["description"] += " It signs in with the workflow's managed identity."
    resource = {"type": "String", "defaultValue": "api://<client id>"}
    definition["parameters"] = {
        "appResource" if name == "keySecretUrl" else name: resource if name == "keySecretUrl" else parameter
        for name, parameter in definition["parameters"].items()
    }
    del definition["actions"][KEY_ACTION]
    for action in definition["actions"].values():
        action["runAfter"].pop(KEY_ACTION, None)
        if action["type"] == "Http":
            _sign_in(action["inputs"])
            del action["runtimeConfiguration"]
        elif action["type"] == "HttpWebhook":  # its inputs stay hidden: they hold the callback address
            _sign_in(action["inputs"]["subscribe"])
            _sign_in(action["inputs"]["unsubscribe"])
    return made


def _sign_in(inputs: Document) -> None:
    del inputs["headers"][KEY_HEADER]
    inputs["authentication"] = {"type": "ManagedServiceIdentity", "audience": "@parameters('appResource')"}


def signed_in_texts() -> dict[Path, str]:
    """Return the text of each file that signs in, made from the files with a key."""
    made = {
        file.with_name(f"{file.stem.replace('polysync_', 'polysync_entra_', 1)}.json"): signed_in_pipeline(_read(file))
        for file in PIPELINES.glob("*.json")
        if "_entra_" not in file.stem
    }
    for file in WORKFLOWS.glob("run-*.json"):
        made[file.with_name(f"entra-{file.name}")] = signed_in_workflow(_read(file))
    return {file: f"{json.dumps(document, indent=2)}\n" for file, document in made.items()}


def _read(file: Path) -> Document:
    document: Document = json.loads(file.read_text())
    return document


def main() -> None:
    for file, text in signed_in_texts().items():
        file.write_text(text)
        print(file.relative_to(INTEGRATIONS))


if __name__ == "__main__":
    main()
