"""Every resource of infra/ is well typed, and the check finds mistakes that are made on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
from pycep import BicepParser

from tests.infra.bicep import parse, read
from tests.infra.bicep_types import RESOURCES, findings

INFRA = Path(__file__).resolve().parents[2] / "infra"
FILES = sorted(INFRA.glob("*.bicep"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_two_parsers_can_read_every_file(path: Path) -> None:
    BicepParser().parse(text=path.read_text())
    assert read(path).faults == ()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_resource_has_the_properties_that_azure_knows(path: Path) -> None:
    resources = read(path).resources
    assert resources
    assert [line for resource in resources for line in findings(resource)] == []


def test_only_the_types_in_use_are_kept() -> None:
    assert {resource.kind for path in FILES for resource in read(path).resources} == set(RESOURCES)


@pytest.mark.parametrize(
    ("file", "right", "wrong", "finding"),
    [
        ("main.bicep", "allowSharedKeyAccess: false", "allowSharedKeysAccess: false", "there is no such property"),
        ("main.bicep", "httpsOnly: true", "httpsonly: true", "its name is httpsOnly"),
        ("main.bicep", "  kind: 'StorageV2'\n", "", "storage.kind: is missing"),
        ("main.bicep", "type: 'UserAssigned'", "type: 'UserAsigned'", "'UserAsigned' is none of"),
        ("main.bicep", "storageAccounts@2025-01-01", "storageAccounts@2025-01-02", "is unknown"),
        ("main.bicep", "Microsoft.Web/serverfarms", "Microsoft.Web/serverFarm", "no such type"),
        ("main.bicep", "httpsOnly: true", "httpsOnly: 'true'", "bool is needed"),
        (
            "network.bicep",
            "addressPrefixes: [\n        '10.0.0.0/16'\n      ]",
            "addressPrefixes: '10.0.0.0/16'",
            "a list",
        ),
        ("main.bicep", "    Application_Type: 'web'", "    ConnectionString: 'x'", "only Azure sets it"),
        ("main.bicep", "name: 'scm'", "name: 'smc'", "'smc' is none of"),
        ("alerts.bicep", "timeAggregation: 'Maximum'", "timeAggregation: 'Max'", "'Max' is none of"),
        ("alerts.bicep", "      webTestId: outside.id\n", "", "webTestId: is missing"),
        ("network.bicep", "registrationEnabled: false", "registrationEnable: false", "there is no such property"),
    ],
)
def test_a_seeded_mistake_is_found(file: str, right: str, wrong: str, finding: str) -> None:
    source = (INFRA / file).read_text()
    assert right in source
    spoilt = parse(source.replace(right, wrong))
    assert finding in "\n".join(line for resource in spoilt.resources for line in findings(resource))


def test_text_that_is_not_bicep_is_found() -> None:
    assert parse((INFRA / "main.bicep").read_text().replace("reserved: true", "reserved = true")).faults
