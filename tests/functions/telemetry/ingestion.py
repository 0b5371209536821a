"""Azure Monitor's ingestion endpoint on a loopback address.

Source: azure-monitor-opentelemetry-exporter, _generated (POST /v2.1/track, lines of JSON, packed with gzip).
"""

from __future__ import annotations

import gzip
import json
from types import TracebackType
from typing import Any, Self

from local.loopback import LoopbackServer
from local.messages import Reply, Request, json_reply


class Ingestion:
    """Keeps the envelopes that it receives inside its `with` block. Every request to another path is kept too."""

    def __init__(self) -> None:
        self.envelopes: list[dict[str, Any]] = []
        self.other_paths: list[str] = []
        self._server = LoopbackServer(self._receive)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def connection_string(self) -> str:
        key = "00000000-0000-4000-8000-000000000001"
        return f"InstrumentationKey={key};IngestionEndpoint={self._server.url}/;LiveEndpoint={self._server.url}/"

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The data of a kind, like MetricData, each with its `tags`. They hold the trace: `ai.operation.id`."""
        found = [(envelope["data"], envelope["tags"]) for envelope in [*self.envelopes]]
        return [{**data["baseData"], "tags": tags} for data, tags in found if data["baseType"] == kind]

    @property
    def metrics(self) -> dict[str, list[dict[str, str]]]:
        """The properties of each value of the app's metrics, by the metric's name."""
        found: dict[str, list[dict[str, str]]] = {}
        for item in self.of("MetricData"):
            if item["metrics"][0]["name"].startswith("polysync."):
                found.setdefault(item["metrics"][0]["name"], []).append(item["properties"])
        return found

    def _receive(self, request: Request) -> Reply:
        if request.path != "/v2.1/track":
            self.other_paths.append(request.path)
            return Reply(status=200)
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        items = json.loads(body) if body.startswith(b"[") else [json.loads(line) for line in body.splitlines()]
        self.envelopes += items
        return json_reply({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []})
