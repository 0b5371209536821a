"""What callers want, how they ask for it again, and how they were answered."""

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
    """One update wanted. With a key it is asked for until there is an answer; without one, once.

    `told` are the updates that its caller was told of: never more than one. `callback_id`: it waits to be called back.
    `may_be_refused`: the statuses with which a refusal would be the truth. `is_old`: its run ended so long ago that it
    is to be gone by the end.
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
        """The caller would rather have an active update than a second one."""
        return self.body.get("onConflict") == "attach"

    @property
    def is_answered(self) -> bool:
        return bool(self.told) or self.refusal is not None

    @property
    def is_open(self) -> bool:
        """Whether its caller would ask (again)."""
        return not self.is_answered and (self.key is not None or self.asked == 0)

    @property
    def run_id(self) -> str:
        """The id of the run in the caller's answer."""
        return f"{self.pipeline_id}:{min(self.told)}"

    def ask(self, door: Door, is_lost: Callable[[], bool] = _never) -> None:
        """`is_lost` says, once there is an answer, whether it never reaches the caller."""
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
    """The same request, its caller waiting at the stage's receiver; with callBackUri as Data Factory waits."""
    request.callback_id = stage.new_callback_id()
    request.body = {**request.body, field: stage.callback_url(request.callback_id)}
    return request


@dataclass(kw_only=True)
class WantedCancel:
    """The update of a start to be stopped: asked for until there is an answer. `by_key`: as its start was asked for."""

    start: WantedStart
    by_key: bool = False
    answer: Answer | None = None

    @property
    def is_open(self) -> bool:
        """Whether its caller would ask (again). A caller that never heard of a run has nothing to cancel."""
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
    """What a read of a run said. Times are epoch seconds of the stage. `in_calm`: nothing broke it."""

    address: Address
    run_id: str
    answer: Answer | None
    began_at: float
    ended_at: float
    in_calm: bool


@dataclass(kw_only=True)
class Trial:
    """A case: its partition, its pipelines, all that was wanted, in preparation too, and all that was read.

    `most_deliveries`: how often a callback may have been sent, where nothing can have made it more.
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
        """Ask for the run that `request` started, and keep the answer."""
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
