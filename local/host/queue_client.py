"""Opens queues of Azure Storage as the host does, and translates between their messages and texts."""

import base64
import binascii
import contextlib
import logging
import re
from dataclasses import dataclass, field

import requests
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.queue import LinearRetry, QueueClient
from requests.adapters import HTTPAdapter

from local.host.app_settings import read_connection, resolve_names
from local.host.functions import HostedFunction, HostStartError, QueueOutput, QueueTrigger

# The rules for names: https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata
_QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")
_CONNECTIONS = 64
_CONNECT_SECONDS = 2.0
_READ_SECONDS = 10.0

# The library logs each request as information. A listener sends up to ten requests a second.
_request_logger = logging.getLogger("local.host.storage")
_request_logger.setLevel(logging.WARNING)


@dataclass(frozen=True)
class QueueAddress:
    """A queue and the storage account that it is in."""

    connection_string: str = field(repr=False)
    name: str

    @property
    def poison(self) -> "QueueAddress | None":
        """The queue for messages that failed too often. None for a poison queue, and if its name would be too long.

        Source: azure-sdk-for-net, QueueListenerFactory.CreatePoisonQueueReference.
        """
        name = f"{self.name}-poison"
        if self.name.endswith("-poison") or not _QUEUE_NAME.fullmatch(name):
            return None
        return QueueAddress(self.connection_string, name)


def resolve_address(function: HostedFunction, binding: QueueTrigger | QueueOutput) -> QueueAddress:
    """Return the queue of a binding. Raises HostStartError when a setting is missing or the queue cannot be named."""
    name = resolve_names(binding.queue, f"{function.name}: its queue").lower()
    if not _QUEUE_NAME.fullmatch(name):
        raise HostStartError(f"{function.name}: {name!r} is not a name of a queue")
    connection_string = read_connection(binding.connection, f"{function.name}: its queue {name}")
    address = QueueAddress(connection_string, name)
    try:
        open_queue(address).close()
    except ValueError as error:
        raise HostStartError(f"{function.name}: the setting {binding.connection} is not usable: {error}") from error
    return address


def open_queue(address: QueueAddress) -> QueueClient:
    """Return a client for many threads. It sends nothing yet. Raises ValueError for a bad connection string."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        # With the default of 10 connections, urllib3 would warn of each connection that it throws away.
        session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
    return QueueClient.from_connection_string(
        address.connection_string,
        address.name,
        transport=RequestsTransport(session=session, connection_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS),
        logger=_request_logger,
        # The default waits 15 seconds before it tries again.
        retry_policy=LinearRetry(backoff=0.2, retry_total=2, random_jitter_range=0),  # type: ignore[arg-type]
    )


def create_queue(client: QueueClient) -> None:
    """Create the queue unless it exists. Raises AzureError."""
    with contextlib.suppress(ResourceExistsError):
        client.create_queue()


def send(client: QueueClient, content: str) -> None:
    """Add a message whose text is already encoded. Create the queue if it does not exist. Raises AzureError."""
    try:
        client.send_message(content)
    except ResourceNotFoundError:
        create_queue(client)
        client.send_message(content)


def encode_text(text: str, *, is_base64: bool) -> str:
    """Return a message's text as the host stores it."""
    return base64.b64encode(text.encode()).decode() if is_base64 else text


def decode_text(content: str, *, is_base64: bool) -> str:
    """Return the text of a stored message. Raises ValueError for a message that is not base64, if it must be."""
    if not is_base64:
        return content
    try:
        return base64.b64decode(content, validate=True).decode(errors="replace")
    except binascii.Error as error:
        raise ValueError(f"the message is not base64: {error}") from error
