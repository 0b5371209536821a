"""The routes of the Pipelines API 2.0, and the function that answers each of them. No network, no threads.

Sources: the Databricks REST reference, databricks-sdk-py service/pipelines.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from local.messages import Reply, Request, json_reply
from local.workspace import encoding, event_log, known_answers, pipelines, queries, states
from local.workspace.pipelines import CAUSES, OPTIONS, STRINGS, Pipeline, PipelineRegistry
from local.workspace.settings import WorkspaceSettings
from local.workspace.states import Update
from local.workspace.wire import Refusal, bad_parameter, json_object

PREFIX = "/api/2.0"
UPDATE_STOP_ROUTE = "/pipelines/{id}/updates/{uid}/stop"
ROUTES = (
    "/pipelines",
    "/pipelines/{id}",
    "/pipelines/{id}/updates",
    "/pipelines/{id}/updates/{uid}",
    UPDATE_STOP_ROUTE,
    "/pipelines/{id}/stop",
    "/pipelines/{id}/events",
)
UNKNOWN_ROUTE = "(unknown)"

_START_TYPES: dict[str, tuple[type, str]] = {
    "pipeline_id": (str, "a string"),
    "full_refresh": (bool, "a boolean"),
    "cause": (str, "a string"),
    **OPTIONS,
}


def match_route(path: str) -> tuple[str, list[str]]:
    """Return the template of a path and the ids in it, or UNKNOWN_ROUTE when the API has no such path."""
    if path.startswith(PREFIX + "/"):
        given = path[len(PREFIX) + 1 :].split("/")
        for template in ROUTES:
            expected = template[1:].split("/")
            pairs = list(zip(expected, given, strict=False))
            if len(expected) == len(given) and all(a == b or (a[0] == "{" and b) for a, b in pairs):
                return template, [b for a, b in pairs if a[0] == "{"]
    return UNKNOWN_ROUTE, []


class PipelinesApi:
    """Answers requests that have passed authentication. `now` returns epoch seconds."""

    def __init__(self, registry: PipelineRegistry, settings: WorkspaceSettings, now: Callable[[], float]) -> None:
        self._registry = registry
        self._settings = settings
        self._now = now
        self._handlers: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {
            ("GET", "/pipelines"): self._list_pipelines,
            ("GET", "/pipelines/{id}"): self._get_pipeline,
            ("POST", "/pipelines/{id}/updates"): self._start_update,
            ("GET", "/pipelines/{id}/updates"): self._list_updates,
            ("GET", "/pipelines/{id}/updates/{uid}"): self._get_update,
            ("POST", UPDATE_STOP_ROUTE): self._stop_update,
            ("POST", "/pipelines/{id}/stop"): self._stop_pipeline,
            ("GET", "/pipelines/{id}/events"): self._list_events,
        }

    def answer(self, request: Request) -> Reply:
        """Execute a request. Raises Refusal for a request that the API refuses."""
        route, ids = match_route(request.path)
        handler = self._handlers.get((request.method, route))
        if route == UPDATE_STOP_ROUTE and not self._settings.has_update_stop:
            return known_answers.reply(self._settings.update_stop_refusal)
        if handler is None:
            path = request.path.removeprefix(PREFIX)
            raise Refusal(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {path}'")
        return json_reply(handler(request, *ids))

    def _pipeline(self, pipeline_id: str) -> Pipeline:
        pipeline = self._registry.find(pipeline_id)
        if pipeline is None:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"The specified pipeline {pipeline_id} was not found.")
        if pipeline.is_forbidden:
            text = f"User {encoding.CREATOR} does not have View permission on pipeline {pipeline_id}."
            raise Refusal(403, "PERMISSION_DENIED", text)
        pipelines.settle(pipeline, self._now())
        return pipeline

    def _update(self, pipeline: Pipeline, update_id: str) -> Update:
        update = pipeline.update(update_id)
        if update is None:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"The specified update {update_id} was not found.")
        return update

    def _list_pipelines(self, request: Request) -> dict[str, Any]:
        size = queries.page_size(request, default=25, maximum=100)
        filter_text = request.query_value("filter")
        pattern = None if filter_text is None else queries.name_filter(filter_text)
        order_field, descending = queries.order(request, fields=("id", "name"), default="id asc")
        token_text = request.query_value("page_token")
        last_id = queries.decode_page_token(token_text, of="pipelines")["after"] if token_text else None
        ordered = self._registry.ordered(by_name=order_field == "name", descending=descending, after_id=last_id)
        chosen = (p for p in ordered if p.is_listed and (pattern is None or pattern.fullmatch(p.name)))
        found = list(itertools.islice(chosen, size + 1))
        page = found[:size]
        for pipeline in page:
            pipelines.settle(pipeline, self._now())
        answer: dict[str, Any] = (
            {"statuses": [encoding.pipeline_summary(pipeline) for pipeline in page]} if page else {}
        )
        if len(found) > size:
            token = {"of": "pipelines", "after": page[-1].pipeline_id}
            answer["next_page_token"] = queries.encode_page_token(token)
        return answer

    def _get_pipeline(self, _request: Request, pipeline_id: str) -> dict[str, Any]:
        return encoding.pipeline_details(self._pipeline(pipeline_id))

    def _start_update(self, request: Request, pipeline_id: str) -> dict[str, Any]:
        body = json_object(request.body)
        for name, (kind, words) in _START_TYPES.items():
            value = body.get(name)
            if value is not None and not (type(value) is kind and (words != STRINGS or _holds_strings(value))):
                raise bad_parameter(f"Expected {words} for '{name}', got {value!r}.")
        if body.get("pipeline_id") not in (None, pipeline_id):
            raise bad_parameter(f"pipeline_id {body['pipeline_id']} in the body is not that of the path.")
        if body.get("cause") not in (None, *CAUSES):
            raise bad_parameter(f"Unknown cause '{body['cause']}'.")
        pipeline = self._pipeline(pipeline_id)
        if pipeline.active is not None:
            text = f"An active update '{pipeline.active.update_id}' already exists for pipeline '{pipeline_id}'."
            raise Refusal(409, self._settings.conflict_error_code, text)
        update = pipelines.begin(
            pipeline,
            cause=body.get("cause") or "API_CALL",
            full_refresh=body.get("full_refresh") or False,
            at=self._now(),
            body=body,
            options={name: value for name, value in body.items() if name in OPTIONS and value is not None},
        )
        return {"update_id": update.update_id}

    def _list_updates(self, request: Request, pipeline_id: str) -> dict[str, Any]:
        """List updates, newest first. `until_update_id` ends the list with that update.

        A page token names an update. So an update that starts between two pages neither repeats nor hides any entry.
        """
        size = queries.page_size(request, default=25, maximum=100)
        pipeline = self._pipeline(pipeline_id)
        listed = pipeline.updates[::-1]
        until = request.query_value("until_update_id")
        if until:
            listed = listed[: listed.index(self._update(pipeline, until)) + 1]
        start = 0
        token_text = request.query_value("page_token")
        if token_text:
            token = queries.decode_page_token(token_text, of=f"updates of {pipeline_id}")
            at = next((i for i, update in enumerate(listed) if update.update_id == token["at"]), None)
            if at is None:
                raise bad_parameter(f"Invalid page_token '{token_text}'.")
            start = at + 1 if token["goes"] == "on" else max(at - size, 0)
        page = listed[start : start + size]
        answer: dict[str, Any] = {}
        if page:
            shown = self._shown_options() if self._settings.listing_shows_options else frozenset()
            answer["updates"] = [
                encoding.update_info(pipeline, update, with_config=False, shown_options=shown) for update in page
            ]
            token = {"of": f"updates of {pipeline_id}"}
            if start + size < len(listed):
                on = {**token, "goes": "on", "at": page[-1].update_id}
                answer["next_page_token"] = queries.encode_page_token(on)
            if start > 0:
                back = {**token, "goes": "back", "at": page[0].update_id}
                answer["prev_page_token"] = queries.encode_page_token(back)
        return answer

    def _get_update(self, _request: Request, pipeline_id: str, update_id: str) -> dict[str, Any]:
        pipeline = self._pipeline(pipeline_id)
        update, shown = self._update(pipeline, update_id), self._shown_options()
        return {"update": encoding.update_info(pipeline, update, with_config=True, shown_options=shown)}

    def _shown_options(self) -> frozenset[str]:
        """The options that an update shows, if it was started with them."""
        return encoding.SHOWN if self._settings.shows_undocumented_options else encoding.DOCUMENTED

    def _stop_update(self, _request: Request, pipeline_id: str, update_id: str) -> dict[str, Any]:
        pipeline = self._pipeline(pipeline_id)
        states.stop(self._update(pipeline, update_id), now=self._now(), drain_seconds=pipeline.drain_seconds)
        return {}

    def _stop_pipeline(self, _request: Request, pipeline_id: str) -> dict[str, Any]:
        pipeline = self._pipeline(pipeline_id)
        if pipeline.active is not None:
            states.stop(pipeline.active, now=self._now(), drain_seconds=pipeline.drain_seconds)
        return {}

    def _list_events(self, request: Request, pipeline_id: str) -> dict[str, Any]:
        size = queries.page_size(request, default=25, maximum=250)
        pipeline = self._pipeline(pipeline_id)
        filter_text = request.query_value("filter")
        token_text = request.query_value("page_token")
        after = None
        if token_text:
            if filter_text is not None or "order_by" in request.values:
                raise bad_parameter("page_token excludes filter and order_by.")
            token = queries.decode_page_token(token_text, of=f"events of {pipeline_id}")
            filter_text, descending, after = token["filter"], token["descending"], token["after"]
        else:
            _, descending = queries.order(request, fields=("timestamp",), default="timestamp desc")
        found = event_log.events(pipeline)
        if descending:
            found.reverse()
        if after is not None:
            found = found[next((i + 1 for i, event in enumerate(found) if event["id"] == after), len(found)) :]
        if filter_text is not None:
            passes = queries.event_filter(filter_text)
            found = found if self._settings.ignores_event_filters else [event for event in found if passes(event)]
        answer: dict[str, Any] = {"events": found[:size]} if found else {}
        if len(found) > size:
            token = {"of": f"events of {pipeline_id}", "filter": filter_text, "descending": descending}
            answer["next_page_token"] = queries.encode_page_token({**token, "after": found[size - 1]["id"]})
        return answer


def _holds_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
