"""The documents agree with the program: named tests exist, and settings, routes and tables are correct."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import costs
from local.demo.__main__ import read_options
from local.demo.stack import PORT
from local.demo.story import PIPELINE_ID
from local.host import load_app, load_functions
from local.host.functions import HttpTrigger
from polysync_core import __version__
from polysync_core.rules.decisions.run_states import STATUS_OF_STATE
from polysync_core.settings import SETTING_NAMES, Settings
from tests.chaos import fault_kinds
from tests.chaos.figures import read_figures
from tests.readme import readme_examples

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SAMPLE: dict[str, str] = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
WRONG = ("doubled", "lost", "twice", "wrong", "untrue", "left", "bugs")
_NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _named_tests() -> Iterator[tuple[str, str, str]]:
    for document in sorted(ROOT.glob("docs/*.md")):
        for file, test in _NAMED_TEST.findall(document.read_text()):
            yield document.name, file, test


def test_the_newest_version_of_the_changelog_is_that_of_the_app() -> None:
    headings = re.findall(r"^## \[(.+?)\] - (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0][0] == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__), "https://semver.org"
    assert [date for _, date in headings if not re.fullmatch(r"\d{4}-\d\d-\d\d|Unreleased", date)] == []


@pytest.mark.parametrize(("document", "file", "test"), sorted(set(_named_tests())))
def test_a_test_that_a_document_names_exists(document: str, file: str, test: str) -> None:
    functions = {
        node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)
    }
    assert test in functions


def test_every_row_of_the_mission_names_its_test() -> None:
    rows = [line for line in (ROOT / "docs/mission.md").read_text().splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith(("| the mission says", "| the product promises"))]
    assert [row for row in promises if not _NAMED_TEST.search(row)] == []
    assert len(promises) >= 15


def test_the_readme_and_the_sample_name_every_setting_and_no_other() -> None:
    in_readme = re.findall(r"^\| `((?:POLYSYNC|DATABRICKS)_\w+)` \|", README, re.MULTILINE)
    assert sorted(in_readme) == sorted(SETTING_NAMES)
    assert {name for name in SAMPLE if name.startswith(("POLYSYNC_", "DATABRICKS_"))} == SETTING_NAMES


def test_the_sample_is_valid_and_shows_the_defaults_of_the_readme() -> None:
    Settings.from_environ(SAMPLE)
    defaults = dict(re.findall(r"^\| `(POLYSYNC_\w+)` \| `([^`]+)` \|", README, re.MULTILINE))
    assert {name: SAMPLE[name] for name in defaults} == defaults


def test_the_readme_lists_every_route_with_its_method() -> None:
    functions = load_functions(load_app(ROOT))
    served = {
        f"{method} /api/{function.trigger.route}"
        for function in functions
        if isinstance(function.trigger, HttpTrigger)
        for method in function.trigger.methods
    }
    listed = {
        f"{method} {path}" for method, path in re.findall(r"^\| `(GET|POST|PUT) (/api/[^?`]+)", README, re.MULTILINE)
    }
    assert listed == served


def test_the_readmes_examples_call_the_demo() -> None:
    """tests/local/test_demo.py executes them."""
    commands = " ".join(example.command for example in readme_examples())
    assert set(re.findall(r"http://[^/']+", commands)) == {f"http://127.0.0.1:{PORT}"}
    assert set(re.findall(r"/(?:pipelines|jobs)/([^/']+)", commands)) == {PIPELINE_ID}


def test_the_demo_has_the_options_that_the_readme_gives_it() -> None:
    given = re.findall(r"make demo ARGS=('[^']+'|[^ `]+)", README)
    assert given
    for arguments in given:
        read_options(shlex.split(arguments.strip("'").replace("<pipeline id>", PIPELINE_ID)))


def test_the_readmes_status_table_is_the_codes() -> None:
    rows = re.findall(r"^\| ([A-Z, ]+) \| (\w+) \|$", README, re.MULTILINE)
    assert {state: status for states, status in rows for state in states.split(", ")} == dict(STATUS_OF_STATE)


def test_the_chaos_figures_have_a_row_for_every_fault_and_none_went_wrong() -> None:
    rows = read_figures(ROOT / "docs" / "chaos-figures.csv")
    faults = {*fault_kinds.KINDS, *(name for only in fault_kinds.ONLY.values() for name in only)}
    assert {*faults, fault_kinds.HELD, fault_kinds.HANG} - {row["fault"] for row in rows} == set()
    for row in rows:
        assert re.fullmatch(r"[0-9a-f]{7,40}", row["commit"]), "the figures are of one commit, without other changes"
        if row["part"].startswith("control"):
            assert int(row["doubled"]) + int(row["lost"]) > 0, row
        else:
            assert {row[name] for name in WRONG} == {"0"}, row
            assert row["owed"] == row["delivered"], row


def test_the_table_of_costs_is_what_its_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    costs.main([])
    assert capsys.readouterr().out in (ROOT / "docs" / "scale.md").read_text()


def test_what_is_deployed_is_pinned_exactly() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.match(r"[\w.-]+==[\w.]+( ;.*)?$", line)] == []
