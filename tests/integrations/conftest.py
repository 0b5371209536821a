"""The fixtures of the integrations' tests, and a report of what Data Factory's pipelines did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.data_factory import DataFactory, PipelineRun, why_not_here
from tests.integrations.loopback import KeyVault
from tests.integrations.stack import FUNCTION_KEY, INTEGRATIONS, Stack, running_stack

_runs: list[PipelineRun] = []


@pytest.fixture(scope="session")
def stack(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(azurite, tmp_path_factory.mktemp("integrations")) as running:
        yield running


@pytest.fixture(scope="session")
def vault() -> Iterator[KeyVault]:
    """A Key Vault that holds the app's function key."""
    with KeyVault(FUNCTION_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def data_factory(stack: Stack) -> DataFactory:
    """A data factory that has imported our pipelines."""
    if reason := why_not_here():
        pytest.skip(reason)
    return DataFactory(INTEGRATIONS / "data-factory", stack.callback_host, _runs.append)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _runs:
        return
    count = sum(len(run.activities) for run in _runs)
    terminalreporter.section("Data Factory")
    for run in _runs:
        terminalreporter.line(f"{run.pipeline:<22} {len(run.activities):>3} activities  {run.status:<10} {run.note}")
    terminalreporter.line(f"{len(_runs)} pipeline runs executed, {count} activities ran")
