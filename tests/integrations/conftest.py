"""The fixtures of the integrations' tests, and a report of what Data Factory's pipelines did."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from local.entra import SimulatedEntra
from tests.integrations import doors
from tests.integrations.data_factory import DataFactory, PipelineRun, why_not_here
from tests.integrations.doors import Door
from tests.integrations.loopback import KeyVault
from tests.integrations.stack import FUNCTION_KEY, INTEGRATIONS, Stack, running_stack

_runs: list[PipelineRun] = []
DoorOf = Callable[[str], Door]


@pytest.fixture(scope="session")
def stack(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The app whose callers send a function key."""
    with running_stack(azurite, tmp_path_factory.mktemp("integrations")) as running:
        yield running


@pytest.fixture(scope="session")
def entra() -> Iterator[SimulatedEntra]:
    with SimulatedEntra() as running:
        yield running


@pytest.fixture(scope="session")
def guarded_stack(azurite: str, entra: SimulatedEntra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The app whose callers sign in at `entra`."""
    with running_stack(azurite, tmp_path_factory.mktemp("guarded"), entra.environ()) as running:
        yield running


@pytest.fixture(scope="session")
def vault() -> Iterator[KeyVault]:
    """A Key Vault that holds the app's function key."""
    with KeyVault(FUNCTION_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def entra_door(guarded_stack: Stack, entra: SimulatedEntra) -> Door:
    return doors.entra_door(guarded_stack, entra)


@pytest.fixture(scope="session")
def door_of(stack: Stack, vault: KeyVault, entra_door: Door) -> DoorOf:
    """Return a function that returns the door for which a template of that name is made."""
    key_door = doors.key_door(stack, vault)
    return lambda name: entra_door if "entra" in name else key_door


@pytest.fixture(scope="session")
def data_factory() -> DataFactory:
    """A data factory that has imported our pipelines."""
    if reason := why_not_here():
        pytest.skip(reason)
    return DataFactory(INTEGRATIONS / "data-factory", _runs.append)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _runs:
        return
    count = sum(len(run.activities) for run in _runs)
    terminalreporter.section("Data Factory")
    for run in _runs:
        terminalreporter.line(f"{run.pipeline:<27} {len(run.activities):>3} activities  {run.status:<10} {run.note}")
    terminalreporter.line(f"{len(_runs)} pipeline runs executed, {count} activities ran")
