"""What callers want, how they ask for it again, and what they were told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.app import Answer, Door
from tests.chaos.stage import Stage


def _never() -> bool:
    return False


@dataclass(kw_only=True)
class StartWish:
    """One update wanted. With a key it is asked for until there is an answer; without one, once.

    `told` are the updates that its caller was told of: never more than one. `callback_id`: it waits to be called back.
    """

    pipeline_id: str
    key: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    callback_id: str | None = None
    asked: int = 0
    told: set[str] = field(default_factory=set)
    refusal: Answer | None = None

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
        """Of the run that the caller was told of."""
        return f"{self.pipeline_id}:{min(self.told)}"

    def ask(self, door: Door, is_lost: Callable[[], bool] = _never) -> None:
        """`is_lost` says, once there is an answer, whether it never reaches the caller."""
        self.asked += 1
        answer = door.start(self.pipeline_id, self.body, self.key)
        if answer is None or is_lost():
            return
        if answer.status == 202:
            self.told.add(str(answer.body["updateId"]))
        elif 400 <= answer.status < 500:
            self.refusal = answer


def call_back(stage: Stage, wish: StartWish) -> StartWish:
    """The same wish, its caller waiting at the stage's receiver."""
    wish.callback_id = stage.new_callback_id()
    wish.body = {**wish.body, "callbackUrl": stage.callback_url(wish.callback_id)}
    return wish


@dataclass(kw_only=True)
class CancelWish:
    """The update of a start to be stopped: asked for until there is an answer. `by_key`: as its start was asked for."""

    start: StartWish
    by_key: bool = False
    answer: Answer | None = None

    @property
    def is_open(self) -> bool:
        """Whether its caller would ask (again); who was never told of a run has nothing to cancel."""
        return bool(self.start.told) and (self.answer is None or self.answer.status >= 500)

    def ask(self, door: Door, is_lost: Callable[[], bool] = _never) -> None:
        if self.by_key:
            answer = door.cancel_by_key(self.start.pipeline_id, self.start.key)
        else:
            answer = door.cancel(self.start.run_id)
        self.answer = None if is_lost() else answer


@dataclass(kw_only=True)
class Ground:
    """A case: its partition, its pipelines, and all that was wanted, in preparation too."""

    partition: str
    pipeline_ids: list[str] = field(default_factory=list)
    starts: list[StartWish] = field(default_factory=list)
    cancels: list[CancelWish] = field(default_factory=list)

    @property
    def open_wishes(self) -> list[StartWish | CancelWish]:
        wishes: list[StartWish | CancelWish] = [*self.starts, *self.cancels]
        return [wish for wish in wishes if wish.is_open]
