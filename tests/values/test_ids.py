"""One pipeline has one id. A UUID is changed to lower case when it is decoded, and any other id keeps its letters."""

from __future__ import annotations

import json

import pytest

from polysync_core.rules.wire import pipelines_api, start_contract
from polysync_core.rules.wire.http_contract import Call, decode_pipeline_id, decode_run_filter, decode_run_id
from polysync_core.values.errors import InvalidRequest
from polysync_core.values.ids import RunId, normal_id
from tests.rules.examples import PIPELINE, make_call

MIXED = "8279d543-063C-4d63-9926-DAE38e35ce8b"
UPDATE = "557aafb1-3ba0-4a2f-9b2c-6f4b2d2a3f10"


@pytest.mark.parametrize(
    ("given", "kept", "reason"),
    [
        (PIPELINE, PIPELINE, "as Databricks writes it"),
        (PIPELINE.upper(), PIPELINE, "in capitals"),
        (MIXED, PIPELINE, "mixed"),
        ("P1", "P1", "another id"),
        ("Orders_2026-Q1", "Orders_2026-Q1", "another id with dashes"),
        (PIPELINE.upper()[:-1], PIPELINE.upper()[:-1], "a character too few"),
        (f"{PIPELINE.upper()}A", f"{PIPELINE.upper()}A", "a character too many"),
        (PIPELINE.upper().replace("-", ""), PIPELINE.upper().replace("-", ""), "without dashes: not Databricks' form"),
        (PIPELINE.upper().replace("8", "G"), PIPELINE.upper().replace("8", "G"), "not hexadecimal"),
    ],
)
def test_a_uuid_has_one_spelling_wherever_it_comes_in(given: str, kept: str, reason: str) -> None:
    assert normal_id(given) == kept, reason
    assert decode_pipeline_id(make_call(pipeline_id=given)) == kept, "the path"
    assert decode_run_filter(make_call(query={"pipelineId": given})).pipeline_id == kept, "a filter"
    call = Call(method="GET", url="http://a", route={"run_id": f"{given}:{UPDATE.upper()}"})
    assert decode_run_id(call) == RunId(kept, UPDATE), "a run id"
    page = pipelines_api.decode_pipelines_page({"statuses": [{"pipeline_id": given}]})
    assert page.pipelines[0].pipeline_id == kept, "Databricks' listing"
    assert pipelines_api.decode_update_id({"update_id": given}) == kept, "Databricks' answer to a start"


@pytest.mark.parametrize(("path", "body"), [(PIPELINE.upper(), PIPELINE), (PIPELINE, MIXED), ("P1", "P1")])
def test_the_body_may_spell_the_id_of_the_path_in_another_way(path: str, body: str) -> None:
    call = make_call(json.dumps({"pipeline_id": body}), pipeline_id=path)
    assert start_contract.decode_start(call, ("default",)).pipeline_id == normal_id(path)


def test_another_case_of_an_id_that_is_not_a_uuid_is_another_id() -> None:
    with pytest.raises(InvalidRequest, match="must be the same as in the path"):
        start_contract.decode_start(make_call('{"pipeline_id": "p1"}', pipeline_id="P1"), ("default",))


def test_one_key_has_one_request_in_whichever_spelling() -> None:
    fingerprints = {
        start_contract.decode_start(make_call(pipeline_id=spelling), ("default",)).fingerprint
        for spelling in (PIPELINE, PIPELINE.upper(), MIXED)
    }
    assert len(fingerprints) == 1
