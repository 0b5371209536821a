"""The control methods. A test, or another process through /_sim/, prepares the workspace and reads its true content."""

from __future__ import annotations

import copy
import dataclasses
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from local.fault import Fault, Kind
from local.workspace import event_log, identity, known_answers, pipelines, states
from local.workspace.api import ROUTES
from local.workspace.dispatch import WORKSPACE
from local.workspace.journal import Call, IdentityCall
from local.workspace.pipeline_control import PipelineControl, check_cause
from local.workspace.states import Update

FAULT_KINDS: Mapping[str, Kind] = {
    "status": "status",
    "reset": "reset",
    "hang": "hang",
    "delay": "delay",
    "trickle": "trickle",
    "half": "half",
    "garbage": "status",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdateRecord:
    """An update as it really is.

    history: pairs of a state and the epoch seconds at which it began. body: the JSON of the POST that started the
    update, or None.
    """

    update_id: str
    state: str
    cause: str
    full_refresh: bool
    creation_time: int
    history: tuple[tuple[str, float], ...]
    body: dict[str, Any] | None


class Control(PipelineControl):
    """All control methods. This class adds those about updates, faults, tokens and journals."""

    def updates_of(self, pipeline_id: str) -> list[UpdateRecord]:
        """Return all updates of a pipeline as they are now, oldest first."""
        with self._parts.lock:
            return [
                UpdateRecord(
                    update_id=update.update_id,
                    state=update.state,
                    cause=update.cause,
                    full_refresh=update.full_refresh,
                    creation_time=update.creation_time,
                    history=tuple(update.history),
                    body=copy.deepcopy(update.body),
                )
                for update in self._settled(pipeline_id).updates
            ]

    def start_elsewhere(
        self, pipeline_id: str, *, cause: str = "USER_ACTION", full_refresh: bool = False, **options: Any
    ) -> str:
        """Somebody else starts an update, with `options` (pipelines.OPTIONS); returns its id.

        Raises ValueError while an update is active, and for an option that there is not.
        """
        check_cause(cause)
        if unknown := options.keys() - pipelines.OPTIONS.keys():
            raise ValueError(f"no such option: {', '.join(sorted(unknown))}; there are {', '.join(pipelines.OPTIONS)}")
        with self._parts.lock:
            pipeline = self._settled(pipeline_id)
            if pipeline.active is not None:
                raise ValueError(f"pipeline {pipeline_id} has an active update, {pipeline.active.update_id}")
            begun = pipelines.begin(
                pipeline, cause=cause, full_refresh=full_refresh, at=self._parts.now(), options=options
            )
            return begun.update_id

    def begin_beside(self, pipeline_id: str, *, cause: str = "USER_ACTION") -> str:
        """Databricks begins a newer update although the last one is in no terminal state, as seen live; its id."""
        check_cause(cause)
        with self._parts.lock:
            pipeline = self._settled(pipeline_id)
            return pipelines.begin(pipeline, cause=cause, full_refresh=False, at=self._parts.now()).update_id

    def set_state(self, pipeline_id: str, update_id: str | None, state: str) -> None:
        """See states.set_state. `update_id` None means the newest update."""
        with self._parts.lock:
            states.set_state(self._update(pipeline_id, update_id), state, now=self._parts.now())

    def advance(self, pipeline_id: str, update_id: str | None = None, *, steps: int = 1) -> str:
        """Move an update on by `steps` states of its script, and return its state.

        Raises ValueError when the script ends before that.
        """
        with self._parts.lock:
            update = self._update(pipeline_id, update_id)
            for _ in range(steps):
                states.step(update, self._parts.now())
            return update.state

    def forget_update(self, pipeline_id: str, update_id: str) -> None:
        """Remove an update. A GET of it then gives 404, and no list contains it."""
        with self._parts.lock:
            self._settled(pipeline_id).updates.remove(self._update(pipeline_id, update_id))

    def add_event(
        self,
        pipeline_id: str,
        *,
        message: str,
        level: str = "ERROR",
        event_type: str = "flow_progress",
        update_id: str | None = None,
        exceptions: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Add an entry to the event log, with the present time, and return its id."""
        with self._parts.lock:
            pipeline = self._parts.registry.get(pipeline_id)
            event = event_log.event(
                pipeline,
                key=str(uuid.uuid4()),
                at=self._parts.now(),
                level=level,
                event_type=event_type,
                message=message,
                update_id=update_id,
                exceptions=[dict(exception) for exception in exceptions],
            )
            pipeline.extra_events.append(event)
            return str(event["id"])

    def add_fault(
        self,
        kind: str,
        *,
        method: str | None = None,
        route: str | None = None,
        pipeline_id: str | None = None,
        error_code: str | int = "INTERNAL_ERROR",
        message: str = "A fault that was asked for.",
        body: str | None = None,
        content_type: str = "application/json",
        status: int = 500,
        **details: Any,
    ) -> None:
        """Add a fault (fault.Fault) for the calls of a method, a route and a pipeline, or for all calls that follow.

        status: the body is `body`, or else Databricks' JSON of `error_code` (a string or a number) and `message`.
        garbage: the same, for any text. The identity endpoint is matched by its route only, "/msi/token".
        """
        if kind not in FAULT_KINDS:
            raise ValueError(f"kind is one of {', '.join(FAULT_KINDS)}, not {kind!r}")
        if details.get("when", "before") not in {"before", "after"}:
            raise ValueError(f"when is one of before, after, not {details['when']!r}")
        if route is not None and route not in (*ROUTES, identity.ROUTE):
            raise ValueError(f"route is one of {', '.join((*ROUTES, identity.ROUTE))}, not {route!r}")
        self._parts.faults.add(
            Fault(
                FAULT_KINDS[kind],
                upstream=identity.ROUTE if route == identity.ROUTE else WORKSPACE,
                label=f"{method or '*'} {route or '*'} {pipeline_id or '*'}",
                body=json.dumps({"error_code": error_code, "message": message}) if body is None else body,
                content_type=content_type,
                status=status,
                **details,
            )
        )

    def answer_with(
        self,
        name: str,
        *,
        method: str | None = None,
        route: str | None = None,
        pipeline_id: str | None = None,
        times: int | None = None,
    ) -> None:
        """From the next call on, answer as a Databricks, a gateway or a proxy was seen to: known_answers by name.

        times: how many calls get that answer; None: all of them. Raises ValueError for a name that there is not.
        """
        answer = known_answers.find(name)
        self.add_fault("status", method=method, route=route, pipeline_id=pipeline_id, times=times, **answer)

    def clear_faults(self) -> None:
        self._parts.faults.clear()

    def down(self) -> None:
        """Reset the connection of every call of the API until up(). The identity endpoint still answers."""
        self._parts.is_down = True

    def up(self) -> None:
        self._parts.is_down = False

    def issue_token(self, seconds: float = 3600, *, resource: str = identity.DATABRICKS_RESOURCE) -> str:
        """Return a token that the workspace accepts, as if the identity endpoint had issued it."""
        with self._parts.lock:
            return self._parts.issuer.issue(seconds=seconds, resource=resource)

    def revoke_tokens(self, *, as_html_403: bool = False) -> None:
        """Refuse every token that was issued so far: with 401, or with 403 and an HTML page "Invalid access token"."""
        with self._parts.lock:
            self._parts.issuer.revoke_all(as_html_403=as_html_403)

    def tokens_issued(self) -> dict[str, int]:
        """How many tokens were issued, by resource."""
        with self._parts.lock:
            return dict(self._parts.issuer.issued)

    def calls(self, method: str | None = None, route: str | None = None) -> list[Call]:
        """Return the journal of the API, oldest first. `route` is a template such as "/pipelines/{id}/updates"."""
        with self._parts.lock:
            entries = self._parts.calls.entries()
        return [call for call in entries if method in (None, call.method) and route in (None, call.route)]

    def identity_calls(self) -> list[IdentityCall]:
        with self._parts.lock:
            return self._parts.identity_calls.entries()

    def clear_calls(self) -> None:
        """Empty both journals."""
        with self._parts.lock:
            self._parts.calls.clear()
            self._parts.identity_calls.clear()

    def _update(self, pipeline_id: str, update_id: str | None) -> Update:
        pipeline = self._settled(pipeline_id)
        newest = pipeline.updates[-1] if pipeline.updates else None
        update = newest if update_id is None else pipeline.update(update_id)
        if update is None:
            raise ValueError(f"pipeline {pipeline_id} has no update {update_id or ''}")
        return update
