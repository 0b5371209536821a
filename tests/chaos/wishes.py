"""What callers want, how they ask for it again, and what they were told in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.stage import Answer, App


@dataclass(kw_only=True)
class StartWish:
    """One update wanted. With a key it is asked for until there is an answer; without one, once.

    `joins`: the caller would rather have an active update than a second one (onConflict attach).
    """

    pipeline_id: str
    key: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    answer: Answer | None = None
    asked: int = 0

    @property
    def joins(self) -> bool:
        return self.body.get("onConflict") == "attach"

    @property
    def is_accepted(self) -> bool:
        return self.answer is not None and self.answer.status == 202

    @property
    def is_refused(self) -> bool:
        return self.answer is not None and 400 <= self.answer.status < 500

    @property
    def is_open(self) -> bool:
        """Whether its caller would ask (again)."""
        return not (self.is_accepted or self.is_refused) and (self.key is not None or self.asked == 0)

    @property
    def update_id(self) -> str | None:
        """The update that the caller was told of."""
        return str(self.answer.body["updateId"]) if self.answer is not None and self.is_accepted else None

    def ask(self, app: App, is_lost: Callable[[], bool] = lambda: False) -> None:
        """`is_lost` says, once the answer is there, whether it never reaches the caller."""
        self.asked += 1
        answer = app.start(self.pipeline_id, self.body, self.key)
        self.answer = None if is_lost() else answer


@dataclass(kw_only=True)
class CancelWish:
    """One run to be stopped: asked for until there is an answer."""

    send: Callable[[App], Answer]
    pipeline_id: str
    update_id: str
    answer: Answer | None = None

    @property
    def is_open(self) -> bool:
        return self.answer is None or self.answer.status >= 500

    def ask(self, app: App, is_lost: Callable[[], bool] = lambda: False) -> None:
        answer = self.send(app)
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
