"""Runs one invocation: the function, the encoding of what it returns, and the writing of its output bindings."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from local.host.conversion import decode_queue, decode_timer, encode_queue
from local.host.functions import HostedFunction, HttpTrigger, QueueOutput, TimerTrigger
from local.host.runner import Output, Runner

T = TypeVar("T")

_logger = logging.getLogger("local.host")


class Invoker:
    """Runs functions on `runner`. `write` writes the messages of an output binding."""

    def __init__(self, runner: Runner, write: Callable[[QueueOutput, Sequence[str]], None]) -> None:
        self._runner = runner
        self._write = write

    def answer(self, function: HostedFunction, value: Any, encode: Callable[[Any], T]) -> T:
        """Run a function, then write what it has set for its output bindings. Return its encoded result.

        Raises what the function, `encode` or a write raises. The function never sees a failure of the last two.
        """
        outputs = [(output, Output()) for output in function.outputs]
        result = self._runner.run(function, value, {output.parameter: held for output, held in outputs})
        messages = [(output, encode_queue(held.get())) for output, held in outputs]
        encoded = encode(result)
        for output, texts in messages:
            self._write(output, texts)
        return encoded

    def run(self, function: HostedFunction, value: Any) -> None:
        """Run a function that answers nobody. Raises like answer()."""
        self.answer(function, value, lambda _result: None)

    def run_logged(self, function: HostedFunction, value: Any) -> bool:
        """Run a function that answers nobody, and log how it ended. Return whether it succeeded."""
        started = time.perf_counter()
        try:
            self.run(function, value)
        except Exception:
            _logger.exception("%s failed", function.name)
            log_end(function.name, "failed", started)
            return False
        log_end(function.name, "succeeded", started)
        return True


def argument_by_hand(function: HostedFunction, text: str = "") -> Any:
    """Return the argument of a timer or queue function that somebody runs by hand. A message gets the body `text`.

    Such a message has no id and was never received (azure-sdk-for-net, StringToStorageQueueMessageConverter). Raises
    KeyError for an HTTP function.
    """
    if isinstance(function.trigger, HttpTrigger):
        raise KeyError(f"{function.name} is an HTTP function")
    return decode_timer() if isinstance(function.trigger, TimerTrigger) else decode_queue(text, {"DequeueCount": 0})


def log_end(name: str, outcome: str, started: float) -> None:
    """Log the end of an invocation or request. `started` is a time of time.perf_counter()."""
    _logger.info("%s %s %d ms", name, outcome, (time.perf_counter() - started) * 1000)
