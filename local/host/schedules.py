"""NCRONTAB schedules in UTC, and a thread that runs a timer function on its schedule."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from croniter import croniter
from croniter.croniter import CroniterError

from local.host.app_settings import resolve_names
from local.host.functions import HostedFunction, HostStartError, TimerTrigger

_LONGEST_WAIT_SECONDS = 60.0


class Schedule:
    """Six NCRONTAB fields, or five without seconds. A day must match both day of month and weekday.

    Raises ValueError for any other text.
    """

    def __init__(self, expression: str) -> None:
        if len(expression.split()) not in (5, 6):
            raise ValueError(f"{expression!r} is not an NCRONTAB expression of six fields")
        self.expression = expression
        try:
            self.next_after(datetime.now(UTC))
        except (CroniterError, ValueError) as error:
            raise ValueError(f"{expression!r} is not an NCRONTAB expression: {error}") from error

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence after `moment`, an aware datetime."""
        times = croniter(self.expression, moment.astimezone(UTC), second_at_beginning=True, day_or=False)
        following: datetime = times.get_next(datetime)
        return following


def resolve_schedule(function: HostedFunction, trigger: TimerTrigger) -> Schedule:
    """Return the schedule of a timer function. %NAME% is replaced from the environment.

    Raises HostStartError when a name is not set or the schedule is not valid.
    """
    try:
        return Schedule(resolve_names(trigger.schedule, f"{function.name}: its schedule"))
    except ValueError as error:
        raise HostStartError(f"{function.name}: {error}") from error


class ScheduledTimer:
    """Calls `fire` at every occurrence, one call at a time. Occurrences that pass during a call are skipped."""

    def __init__(self, name: str, schedule: Schedule, fire: Callable[[], None]) -> None:
        self._schedule = schedule
        self._fire = fire
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"timer-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin no further call. A running call continues."""
        self._stopped.set()

    def _run(self) -> None:
        due = datetime.now(UTC)
        while True:
            due = self._schedule.next_after(max(due, datetime.now(UTC)))
            while (seconds := (due - datetime.now(UTC)).total_seconds()) > 0:
                # The wait is short, because the clock that it uses stops while a laptop sleeps.
                if self._stopped.wait(min(seconds, _LONGEST_WAIT_SECONDS)):
                    return
            if self._stopped.is_set():
                return
            self._fire()
