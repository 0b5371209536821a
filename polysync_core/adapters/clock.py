"""The clock. Everything that needs time takes it as an argument, and tests pass another one."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Real time."""

    def now(self) -> datetime:
        """The time of day, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back. Only differences have a meaning."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
