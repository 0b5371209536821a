"""The states of one update. Pure: the caller passes the time.

State names: databricks-sdk-py, service/pipelines.py, UpdateInfoState. Times are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TERMINAL_STATES = frozenset({"COMPLETED", "FAILED", "CANCELED"})

DEFAULT_SCRIPT = (
    "CREATED",
    "WAITING_FOR_RESOURCES",
    "INITIALIZING",
    "SETTING_UP_TABLES",
    "RUNNING",
    "COMPLETED",
)


def script_ending(state: str) -> tuple[str, ...]:
    """Return the default script with another end: FAILED, CANCELED, or RUNNING for a continuous pipeline."""
    return (*DEFAULT_SCRIPT[:-1], state) if state != "RUNNING" else DEFAULT_SCRIPT[:-1]


def script_of_update(script: tuple[str, ...], *, full_refresh: bool) -> tuple[str, ...]:
    """Return the script of an update. A full refresh adds RESETTING before SETTING_UP_TABLES.

    A script that contains RESETTING or does not contain SETTING_UP_TABLES stays as it is.
    """
    if not full_refresh or "RESETTING" in script or "SETTING_UP_TABLES" not in script:
        return script
    at = script.index("SETTING_UP_TABLES")
    return (*script[:at], "RESETTING", *script[at:])


@dataclass(kw_only=True, slots=True)
class Update:
    """One update. `history` is [(state, entered at)], the last one is now; `remaining` is what the script still holds.

    `pace_seconds` None: no state ends by itself. `body` is the JSON object of the POST that started it, else None.
    `options` are the fields beside full_refresh that it was started with, such as validate_only.
    """

    update_id: str
    cause: str
    full_refresh: bool
    creation_time: int
    history: list[tuple[str, float]]
    remaining: tuple[str, ...]
    pace_seconds: float | None
    retries_left: int
    options: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    stop_requested: bool = False

    @property
    def state(self) -> str:
        return self.history[-1][0]

    @property
    def entered_at(self) -> float:
        return self.history[-1][1]

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES


def step(update: Update, at: float) -> None:
    """Enter the next state of the script. Raises ValueError when there is none."""
    if update.is_terminal or not update.remaining:
        raise ValueError(f"update {update.update_id} is {update.state}: its script has no next state")
    update.history.append((update.remaining[0], at))
    update.remaining = update.remaining[1:]


def run_until(update: Update, now: float) -> None:
    """Enter every state that is due by `now`, each at the time at which it was due."""
    while update.pace_seconds is not None and update.remaining and not update.is_terminal:
        due_at = update.entered_at + update.pace_seconds
        if due_at > now:
            return
        step(update, due_at)


def stop(update: Update, *, now: float, drain_seconds: float | None) -> None:
    """Move an unfinished update to STOPPING. CANCELED follows `drain_seconds` later.

    `drain_seconds` None keeps the update's own pace.
    """
    if update.is_terminal:
        return
    update.stop_requested = True
    if update.state == "STOPPING":
        return
    update.history.append(("STOPPING", now))
    update.remaining = ("CANCELED",)
    if drain_seconds is not None:
        update.pace_seconds = drain_seconds


def set_state(update: Update, state: str, *, now: float) -> None:
    """Put the update into any state, also an unknown one.

    If the state is still ahead in the script, the script continues after it. Else the script continues where it was.
    After STOPPING comes CANCELED. Raises ValueError for a finished update, because no update leaves a terminal state.
    """
    if update.is_terminal:
        raise ValueError(f"update {update.update_id} is {update.state}: it cannot become {state}")
    update.history.append((state, now))
    if state in TERMINAL_STATES:
        update.remaining = ()
    elif state == "STOPPING":
        update.remaining = ("CANCELED",)
    elif state in update.remaining:
        update.remaining = update.remaining[update.remaining.index(state) + 1 :]
