import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError
from azure.data.tables import TableClient, TableTransactionError
from azure.storage.queue import QueueClient

from local.azurite import Azurite, AzuriteError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite() as running:
        yield running


@pytest.fixture
def table(azurite: Azurite) -> Iterator[TableClient]:
    with open_table(azurite, f"T{uuid.uuid4().hex}") as client:
        yield client


def open_table(azurite: Azurite, name: str) -> TableClient:
    client = TableClient.from_connection_string(azurite.connection_string, name)
    client.create_table()
    return client


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_a_second_create_of_a_row_is_refused(table: TableClient) -> None:
    table.create_entity({"PartitionKey": "p", "RowKey": "r"})
    with pytest.raises(ResourceExistsError):
        table.create_entity({"PartitionKey": "p", "RowKey": "r"})


def test_a_write_on_a_stale_etag_is_refused(table: TableClient) -> None:
    etag = table.create_entity({"PartitionKey": "p", "RowKey": "r", "n": 1})["etag"]
    update = {"PartitionKey": "p", "RowKey": "r", "n": 2}
    table.update_entity(update, etag=etag, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        table.update_entity(update, etag=etag, match_condition=MatchConditions.IfNotModified)


def test_a_batch_is_all_or_nothing(table: TableClient) -> None:
    table.create_entity({"PartitionKey": "p", "RowKey": "taken"})
    with pytest.raises(TableTransactionError):
        table.submit_transaction([("create", {"PartitionKey": "p", "RowKey": row}) for row in ("new", "taken")])
    assert [entity["RowKey"] for entity in table.list_entities()] == ["taken"]


def test_a_folder_keeps_the_tables(tmp_path: Path) -> None:
    with Azurite(folder=tmp_path) as azurite, open_table(azurite, "Kept") as table:
        table.create_entity({"PartitionKey": "p", "RowKey": "r"})
    with (
        Azurite(folder=tmp_path) as azurite,
        TableClient.from_connection_string(azurite.connection_string, "Kept") as table,
    ):
        assert table.get_entity("p", "r")["RowKey"] == "r"


def test_a_port_that_is_taken_is_an_error(azurite: Azurite) -> None:
    with pytest.raises(AzuriteError, match="EADDRINUSE"):
        Azurite(port=azurite.port).start()


def test_it_ends_with_a_parent_that_is_killed_and_keeps_its_tables(tmp_path: Path) -> None:
    child = (
        "from local.azurite import Azurite; a = Azurite(folder={!r}).start(); print(a.pid, a.port, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", child.format(str(tmp_path))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        pid, port = (int(number) for number in parent.stdout.readline().split())
        orphan = Azurite(port=port)
        with open_table(orphan, "Kept"):
            parent.kill()
        assert wait_until_gone(pid)
    with Azurite(folder=tmp_path) as azurite, pytest.raises(ResourceExistsError):
        open_table(azurite, "Kept")


@contextmanager
def _command(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command `python -m local.azurite` with these options, and the connection string that it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", "local.azurite", "--port", "0", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        name, _, connection_string = process.stdout.readline().strip().partition("=")
        assert name == "POLYSYNC_TABLES"
        yield process, connection_string


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_the_setting_and_ends_on_a_signal(signal_number: signal.Signals) -> None:
    with _command() as (process, connection_string):
        with TableClient.from_connection_string(connection_string, "Any") as table:
            table.create_table()
        process.send_signal(signal_number)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


def test_with_a_queue_port_the_command_runs_the_queue_service_too(tmp_path: Path) -> None:
    with _command("--queue-port", "0", "--folder", str(tmp_path)) as (process, connection_string):
        with TableClient.from_connection_string(connection_string, "Any") as table:
            table.create_table()
        with QueueClient.from_connection_string(connection_string, "any") as queue:
            queue.create_queue()
            queue.send_message("kept")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    with (
        Azurite(folder=tmp_path, queue=True) as azurite,
        QueueClient.from_connection_string(azurite.connection_string, "any") as queue,
    ):
        assert [message.content for message in queue.peek_messages()] == ["kept"]


def test_without_queues_the_connection_string_names_none(azurite: Azurite) -> None:
    assert "QueueEndpoint" not in azurite.connection_string


def test_without_an_installation_the_remedy_is_named(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "azurite.py").write_text((ROOT / "local" / "azurite.py").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "local.azurite"], cwd=tmp_path, capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode == 1
    assert "make setup" in done.stderr
