"""Receives the messages of a queue function, by the rules of the host's storage extension.

The rules are those of azure-sdk-for-net, Microsoft.Azure.WebJobs.Extensions.Storage.Queues: QueueListener.cs and
QueueProcessor.cs. One rule is left out: the host makes a message invisible again for as long as its function runs.
"""

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import azure.functions as func
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from local.host.conversion import decode_queue
from local.host.queue_client import QueueAddress, create_queue, decode_text, open_queue, send
from local.host.queue_settings import SHORTEST_POLL_SECONDS, QueueSettings
from local.in_flight import InFlight

# A message that was received stays invisible this long, unless its function ends before.
_INVISIBLE_SECONDS = 600
_JOIN_SECONDS = 1.0

_logger = logging.getLogger("local.host")


class QueueListener:
    """Receives the messages of one queue function in a thread of its own, and runs the function for each message.

    At most batch size plus new batch threshold messages are processed at the same time. Each counts as in flight.
    """

    def __init__(
        self,
        name: str,
        address: QueueAddress,
        settings: QueueSettings,
        in_flight: InFlight,
        call: Callable[[func.QueueMessage], bool],
    ) -> None:
        self.address = address
        self._name = name
        self._settings = settings
        self._in_flight = in_flight
        self._call = call
        self._client = open_queue(address)
        self._poison = open_queue(address.poison) if address.poison else None
        self._stopped = False
        self._look_now = threading.Event()
        self._processing = 0
        self._message_ended = threading.Condition()
        self._is_away = False
        self._thread = threading.Thread(target=self._run, name=f"queue-{name}", daemon=True)
        self._pool = ThreadPoolExecutor(
            settings.batch_size + settings.new_batch_threshold, thread_name_prefix=f"queue-{name}"
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Receive nothing more. What has been received continues."""
        with self._message_ended:
            self._stopped = True
            self._message_ended.notify_all()
        self._look_now.set()

    def close(self) -> None:
        """Close the connections. Call it when nothing is in flight any more."""
        self._thread.join(_JOIN_SECONDS)
        self._pool.shutdown(wait=False)
        for client in (self._client, self._poison):
            if client is not None:
                client.close()

    def look_now(self) -> None:
        """End the pause between two looks at an empty queue, because a message has been written."""
        self._look_now.set()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped:
            self._look_now.clear()
            if self._receive():
                pause = 0.0
            else:
                pause = min(max(2 * pause, SHORTEST_POLL_SECONDS), self._settings.max_polling_seconds)
                if not self._stopped:
                    self._look_now.wait(pause)
            with self._message_ended:
                self._message_ended.wait_for(
                    lambda: self._stopped or self._processing <= self._settings.new_batch_threshold
                )

    def _receive(self) -> int:
        """Receive one batch and begin to process it. Return the number of messages.

        A receive counts as in flight. So a stop waits for it, and then for its messages.
        """
        with self._in_flight.work():
            if self._stopped:
                return 0
            try:
                messages = self._fetch_messages()
            except AzureError as error:
                if not self._is_away:
                    _logger.warning("%s: queue %s cannot be read: %s", self._name, self.address.name, error)
                self._is_away = True
                return 0
            if self._is_away:
                _logger.info("%s: queue %s can be read again", self._name, self.address.name)
            self._is_away = False
            for message in messages:
                self._in_flight.begin()
                with self._message_ended:
                    self._processing += 1
                self._pool.submit(self._process, message)
            return len(messages)

    def _fetch_messages(self) -> list[QueueMessage]:
        pages = self._client.receive_messages(
            messages_per_page=self._settings.batch_size, visibility_timeout=_INVISIBLE_SECONDS
        ).by_page()
        try:
            return list(next(pages, ()))
        except ResourceNotFoundError:
            create_queue(self._client)
            return []

    def _process(self, message: QueueMessage) -> None:
        try:
            self._run_and_complete(message)
        except AzureError:
            _logger.exception("%s: message %s could not be deleted or released", self._name, message.id)
        finally:
            with self._message_ended:
                self._processing -= 1
                self._message_ended.notify_all()
            self._in_flight.end()

    def _run_and_complete(self, message: QueueMessage) -> None:
        tries = message.dequeue_count or 0
        try:
            text = decode_text(message.content, is_base64=self._settings.is_base64)
        except ValueError as error:
            _logger.warning("%s: message %s: %s", self._name, message.id, error)
            self._move_to_poison(message)
            return
        if tries > self._settings.max_dequeue_count:  # a host has ended while it processed the last try
            self._move_to_poison(message)
        elif self._call(_decode(message, text)):
            _delete(self._client, message)
        elif tries >= self._settings.max_dequeue_count:
            self._move_to_poison(message)
        elif self._poison:
            with contextlib.suppress(ResourceNotFoundError):
                self._client.update_message(message, visibility_timeout=self._settings.visibility_timeout_seconds)

    def _move_to_poison(self, message: QueueMessage) -> None:
        """Move the message. Without a poison queue it stays invisible, so that it does not fail in a fast loop."""
        if self._poison:
            _logger.warning("%s: message %s goes to %s", self._name, message.id, self._poison.queue_name)
            send(self._poison, message.content)
            _delete(self._client, message)


def _delete(client: QueueClient, message: QueueMessage) -> None:
    # If the message has become visible in the meantime, it belongs to another receiver.
    with contextlib.suppress(ResourceNotFoundError):
        client.delete_message(message)


def _decode(message: QueueMessage, text: str) -> func.QueueMessage:
    metadata = {
        "Id": message.id,
        "PopReceipt": message.pop_receipt,
        "DequeueCount": message.dequeue_count,
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    return decode_queue(text, {name: value for name, value in metadata.items() if value is not None})
