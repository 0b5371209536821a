"""Makes the calls of a Data Factory pipeline's activities, as Data Factory's documentation says.

That is the managed identity's token, polling on 202, the callback of a WebHook activity, and the reserved names of
outputs. All waits are shorter than in Data Factory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.integrations.identity import ManagedIdentity, NoToken
from tests.integrations.loopback import CallbackHost
from tests.integrations.stack import PATIENCE_SECONDS

SUCCEEDED, FAILED = "Succeeded", "Failed"
_POLL_SECONDS = 0.2
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024
# The names that an activity's output already holds:
# https://learn.microsoft.com/azure/data-factory/control-flow-web-activity
_RESERVED = {
    "ADFWebActivityResponseHeaders",
    "effectiveIntegrationRuntime",
    "executionDuration",
    "durationInQueue",
    "billingReference",
}


@dataclass(frozen=True, kw_only=True)
class ActivityRun:
    """One executed activity: its status, and its output or its error ({errorCode, message})."""

    name: str
    status: str
    output: Mapping[str, Any]
    error: Mapping[str, str] | None = None


class Calls:
    """The calls of a data factory with that identity. `callback_host` receives the callbacks of WebHook activities."""

    def __init__(self, callback_host: CallbackHost, identity: ManagedIdentity) -> None:
        self._callback_host = callback_host
        self._identity = identity

    def execute(self, name: str, kind: str, properties: Mapping[str, Any]) -> ActivityRun:
        """Run one activity. An activity for which there is no token fails, and calls nobody."""
        try:
            if kind == "WebActivity":
                return self._web(name, properties)
            if kind == "WebHook":
                return self._web_hook(name, properties)
        except NoToken as error:
            return _failed(name, "NoToken", str(error))  # Data Factory's own code for this is not documented
        if kind == "Fail":
            error_of_it = {"errorCode": properties["errorCode"], "message": properties["message"]}
            return ActivityRun(name=name, status=FAILED, output={}, error=error_of_it)
        if kind == "Wait":
            time.sleep(properties["waitTimeInSeconds"] / 60)
        else:
            assert kind == "SetVariable", f"{kind} is not known here"
        return ActivityRun(name=name, status=SUCCEEDED, output={})

    def _web(self, name: str, properties: Mapping[str, Any]) -> ActivityRun:
        """Send the request. On 202 poll the Location without the headers and the token of the request.

        Data Factory's documentation does not say whether it sends those.
        """
        answer = self._send(properties)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while answer.status_code == 202 and not properties.get("turnOffAsync", False):
            assert time.monotonic() < deadline, f"{name} is still answered with 202: {answer.text}"
            time.sleep(_POLL_SECONDS)
            answer = requests.get(answer.headers["Location"], timeout=60, allow_redirects=False)
        if answer.status_code >= 400:
            return _failed(name, str(answer.status_code), answer.text)
        assert len(answer.content) <= _MAX_RESPONSE_BYTES
        output = answer.json()
        assert isinstance(output, dict), "Data Factory wants a JSON object"
        assert not _RESERVED & set(output)
        headers = {"ADFWebActivityResponseHeaders": dict(answer.headers)}
        return ActivityRun(name=name, status=SUCCEEDED, output=output | headers)

    def _web_hook(self, name: str, properties: Mapping[str, Any]) -> ActivityRun:
        """Send the request with callBackUri, and wait for the callback. A response must come within a minute."""
        address = self._callback_host.new_address("data-factory")
        body = {**json.loads(properties["body"]), "callBackUri": address}
        assert properties["method"] == "POST"
        assert properties["reportStatusOnCallBack"] is True
        answer = self._send({**properties, "body": json.dumps(body)})
        if answer.status_code >= 400:
            return _failed(name, str(answer.status_code), answer.text)
        assert "Location" not in answer.headers, "whether Data Factory would poll it is not documented"
        callback = self._callback_host.next_at(address, within_seconds=PATIENCE_SECONDS)
        if callback is None:
            return _failed(name, "TimedOut", f"not called back within {properties['timeout']}")
        report = callback.json
        assert isinstance(report["StatusCode"], str)
        if int(report["StatusCode"]) >= 400:
            return _failed(name, report["Error"]["ErrorCode"], report["Error"]["Message"])
        assert "Error" not in report
        return ActivityRun(name=name, status=SUCCEEDED, output=report["Output"])

    def _send(self, properties: Mapping[str, Any]) -> requests.Response:
        assert urlsplit(properties["url"]).hostname == "127.0.0.1", "nothing here calls another machine"
        headers = dict(properties.get("headers", {}))
        authentication = properties.get("authentication")
        if authentication is not None:
            assert authentication["type"] == "MSI"
            headers["Authorization"] = f"Bearer {self._identity.token(authentication['resource'])}"
        return requests.request(
            properties["method"],
            properties["url"],
            data=properties.get("body"),
            headers=headers,
            timeout=60,
            allow_redirects=False,
        )


def _failed(name: str, code: str, message: str) -> ActivityRun:
    return ActivityRun(name=name, status=FAILED, output={}, error={"errorCode": code, "message": message})
