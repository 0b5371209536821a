"""Answers by name: what Databricks and its neighbours were seen to give."""

from __future__ import annotations

import pytest

from local.workspace import SimulatedWorkspace, known_answers
from tests.local.workspace.raw_http import Caller


@pytest.mark.parametrize("name", known_answers.ANSWERS)
def test_a_known_answer_is_given_by_name_until_it_is_cleared(
    workspace: SimulatedWorkspace, call: Caller, name: str
) -> None:
    pipeline_id, other = workspace.add_pipelines(2)
    workspace.answer_with(name, method="GET", route="/pipelines/{id}", pipeline_id=pipeline_id)
    answer = call("GET", f"/pipelines/{pipeline_id}", allow_redirects=False)
    wanted = known_answers.find(name)
    assert (answer.status_code, answer.text) == (wanted["status"], wanted["body"])
    assert call("GET", f"/pipelines/{other}").json()["pipeline_id"] == other
    workspace.clear_faults()
    assert call("GET", f"/pipelines/{pipeline_id}").json()["pipeline_id"] == pipeline_id


def test_an_unknown_name_of_an_answer_is_refused(workspace: SimulatedWorkspace) -> None:
    with pytest.raises(ValueError, match="there are bad_target"):
        workspace.answer_with("nonsense")
