"""The queues of one host: those that trigger its functions, and those of its output bindings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import azure.functions as func

from local.host.functions import Functions, HostedFunction, QueueOutput, QueueTrigger
from local.host.queue_client import QueueAddress, encode_text, open_queue, resolve_address, send
from local.host.queue_listener import QueueListener
from local.host.queue_settings import QueueSettings
from local.in_flight import InFlight

Call = Callable[[HostedFunction, func.QueueMessage], bool]
"""Runs a function and logs how it ended. Returns whether it succeeded."""


@dataclass(frozen=True, kw_only=True)
class QueuePlan:
    """The queues of an app: those that trigger a function, and those that functions write to."""

    triggers: Sequence[tuple[HostedFunction, QueueAddress]]
    outputs: dict[QueueOutput, QueueAddress]


def plan_queues(functions: Functions) -> QueuePlan:
    """Return the queues of an app. Raises HostStartError for a setting that is missing or not usable."""
    return QueuePlan(
        triggers=[
            (function, resolve_address(function, function.trigger))
            for function in functions
            if isinstance(function.trigger, QueueTrigger)
        ],
        outputs={output: resolve_address(function, output) for function in functions for output in function.outputs},
    )


class Queues:
    """The open queues of one running host. With `listens` False no message is received."""

    def __init__(self, plan: QueuePlan, settings: QueueSettings, in_flight: InFlight, *, listens: bool) -> None:
        self._plan = plan
        self._settings = settings
        self._in_flight = in_flight
        self._listens = listens
        self._writers = {address: open_queue(address) for address in plan.outputs.values()}
        self._listeners: list[QueueListener] = []

    def start(self, call: Call) -> None:
        """Begin to receive. Each message is given to `call`."""
        if self._listens:
            self._listeners = [
                QueueListener(function.name, address, self._settings, self._in_flight, partial(call, function))
                for function, address in self._plan.triggers
            ]
        for listener in self._listeners:
            listener.start()

    def stop(self) -> None:
        """Receive nothing more. What has been received continues."""
        for listener in self._listeners:
            listener.stop()

    def close(self) -> None:
        """Close the connections. Call it when nothing is in flight any more."""
        for listener in self._listeners:
            listener.close()
        for writer in self._writers.values():
            writer.close()

    def write(self, output: QueueOutput, texts: Sequence[str]) -> None:
        """Write one message for each text. Raises AzureError when the storage does not accept one.

        Listeners of this host then look at the queue at once (azure-sdk-for-net, SharedQueueWatcher).
        """
        address = self._plan.outputs[output]
        for text in texts:
            send(self._writers[address], encode_text(text, is_base64=self._settings.is_base64))
        for listener in self._listeners:
            if texts and listener.address == address:
                listener.look_now()
