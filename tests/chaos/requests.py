"""The requests that callers want to make, how they repeat them, and the responses that they got."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from tests.chaos.app import Answer, Door
from tests.chaos.stage import Stage


def _never() -> bool:
    return False


@dataclass(kw_only=True)
class WantedStart:
    """One update that a caller wants. With a key it is requested until there is a response, and without a key once.

    callback_id: set when the caller waits for a callback.
    may_be_refused: the statuses with which a refusal is true.
    is_old: its run ended so long ago that the run must be deleted by the end.
    told: the ids of the updates that its caller got. There must never be more than one.
    """

    pipeline_id: str
    key: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    callback_id: str | None = None
    may_be_refused: frozenset[int] = frozenset()
    is_old: bool = False
    asked: int = 0
    told: set[str] = field(default_factory=set)
    result_token: str = ""
    refusal: Answer | None = None

    @property
    def follows_retries(self) -> bool:
        return bool(self.body.get("followRetries"))

    @property
    def joins(self) -> bool:
        """Whether the caller prefers to join an active update."""
        return self.body.get("onConflict") == "attach"

    @property
    def is_answered(self) -> bool:
        return bool(self.told) or self.refusal is not None

    @property
    def is_open(self) -> bool:
        """Whether its caller would send the request (again)."""
        return not self.is_answered and (self.key is not None or self.asked == 0)

    @property
    def run_id(self) -> str:
        """The id of the run in the response. It is valid only after an accepted start."""
        return f"{self.pipeline_id}:{min(self.told)}"

    def ask(self, door: Door, is_lost: Callable[[], bool] = _never) -> None:
        """Send the request. `is_lost` is called after the response, and says whether the caller never gets it."""
        self.asked += 1
        answer = door.start(self.pipeline_id, self.body, self.key)
        if answer is None or is_lost():
            return
        if answer.status == 202:
            self.result_token = parse_qs(urlsplit(str(answer.body["resultUrl"])).query)["token"][0]
            self.told.add(str(answer.body["updateId"]))
        elif 400 <= answer.status < 500:
            self.refusal = answer


def call_back(
    stage: Stage, request: WantedStart, field: Literal["callbackUrl", "callBackUri"] = "callbackUrl"
) -> WantedStart:
    """Add a callback address at the stage's receiver to the request, and return it. Data Factory uses callBackUri."""
    request.callback_id = stage.new_callback_id()
    request.body = {**request.body, field: stage.callback_url(request.callback_id)}
    return request


@dataclass(kw_only=True)
class WantedCancel:
    """A caller wants to stop the update of `start`. It repeats the cancel until there is a response.

    `by_key`: it cancels with the start's key, not with the run id.
    """

    start: WantedStart
    by_key: bool = False
    answer: Answer | None = None

    @property
    def is_open(self) -> bool:
        """Whether its caller would send the cancel (again). A caller without a run has nothing to cancel."""
        return bool(self.start.told) and (self.answer is None or self.answer.status >= 500)

    def ask(self, door: Door, is_lost: Callable[[], bool] = _never) -> None:
        if self.by_key:
            answer = door.cancel_by_key(self.start.pipeline_id, self.start.key)
        else:
            answer = door.cancel(self.start.run_id)
        self.answer = None if is_lost() else answer


Address = Literal["run", "result", "list"]
"""GET runs/{id}, GET runs/{id}/result, GET runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The response to a read of a run. Times are epoch seconds on the stage's clock. `in_calm`: no faults happened."""

    address: Address
    run_id: str
    answer: Answer | None
    began_at: float
    ended_at: float
    in_calm: bool


@dataclass(kw_only=True)
class Trial:
    """One case: its partition, its pipelines, all requests, also those of the preparation, and all readings.

    `most_deliveries` is how often a callback may be sent. It is None where a fault may have caused repeats.
    """

    partition: str
    pipeline_ids: list[str] = field(default_factory=list)
    starts: list[WantedStart] = field(default_factory=list)
    cancels: list[WantedCancel] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    most_deliveries: int | None = None

    @property
    def open_request(self) -> list[WantedStart | WantedCancel]:
        requests: list[WantedStart | WantedCancel] = [*self.starts, *self.cancels]
        return [request for request in requests if request.is_open]

    def read(self, stage: Stage, door: Door, request: WantedStart, address: Address, *, in_calm: bool = False) -> None:
        """Read the run that `request` started, and record the response."""
        began_at = stage.clock.now().timestamp()
        if address == "run":
            answer = door.read(request.run_id)
        elif address == "result":
            answer = door.await_result(request.run_id, request.result_token)
        else:
            answer = door.list_runs(request.pipeline_id)
        self.readings.append(
            Reading(
                address=address,
                run_id=request.run_id,
                answer=answer,
                began_at=began_at,
                ended_at=stage.clock.now().timestamp(),
                in_calm=in_calm,
            )
        )
