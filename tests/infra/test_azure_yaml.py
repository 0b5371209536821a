"""azure.yaml fits azd's own schema. The copy of it is in types/, so that nothing is fetched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "tests/infra/types/azure.yaml.json"
AZURE_YAML = (ROOT / "azure.yaml").read_text()
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")


def _check(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--schemafile", SCHEMA, file],
        capture_output=True,
        text=True,
        env={**os.environ, **OFFLINE},
        check=False,
    )


def test_azure_yaml_fits_the_schema() -> None:
    done = _check(ROOT / "azure.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_azure_yaml_names_the_schema_that_it_is_checked_against() -> None:
    assert f'"$id": "{AZURE_YAML.partition("$schema=")[2].splitlines()[0]}"' in SCHEMA.read_text()


def test_its_words_are_those_that_the_schema_names() -> None:
    """The schema lets any word through where an extension of azd may add its own."""
    schema, told = json.loads(SCHEMA.read_text()), yaml.safe_load(AZURE_YAML)
    (service,) = told["services"].values()
    known = schema["properties"]["services"]["additionalProperties"]["properties"]
    assert service["host"] in known["host"]["examples"]
    assert service["language"] in known["language"]["examples"]
    assert told["infra"]["provider"] in schema["properties"]["infra"]["properties"]["provider"]["examples"]
    assert service.keys() <= known.keys()
    assert told.keys() <= schema["properties"].keys()
    assert told["infra"].keys() <= schema["properties"]["infra"]["properties"].keys()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("name: polysync", "name: Polysync App"),
        ("provider: bicep", "provider: Bicep"),
        ("host: function\n", "host: staticwebapp\n    remoteBuild: true\n"),
        ("    project: .\n", ""),
        ("path: infra", "path: [infra]"),
    ],
)
def test_a_mistake_in_it_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    assert AZURE_YAML.count(right) == 1
    changed = tmp_path / "azure.yaml"
    changed.write_text(AZURE_YAML.replace(right, wrong))
    done = _check(changed)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "azure.yaml::$" in done.stdout
