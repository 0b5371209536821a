"""Discovery of configurations with secrets, of pipelines that leave out false values, and of their own parameters."""

from __future__ import annotations

from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.rules.wire.job_document import encode_report
from tests.use_cases.jobs_rig import columns_of, discover_all, document, etags, sync, values

SECRET = "spark.hadoop.fs.azure.account.key.lake.dfs.core.windows.net"


def test_a_secret_is_neither_stored_nor_shown_and_a_change_of_it_is_reported(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline(spec={"configuration": {SECRET: "hush-1", "spark.x": "{{secrets/a/b}}"}})
    first = discover_all(rig)
    assert "hush" not in f"{encode_report(first, None)} {columns_of(rig, pipeline_id)} {document(rig, pipeline_id)}"
    shown = {one["name"]: (one["value"], one["hidden"]) for one in document(rig, pipeline_id)["parameters"]}
    assert shown[SECRET] == (None, True)
    assert shown["spark.x"] == ("{{secrets/a/b}}", False)

    before = etags(rig)
    assert discover_all(rig).changes == ()
    assert etags(rig).keys() == before.keys()

    workspace.set_spec(pipeline_id, {"configuration": {SECRET: "hush-2", "spark.x": "{{secrets/a/b}}"}})
    report = encode_report(sync(rig, pipeline_id), None)
    assert report["changes"] == [
        {"job": pipeline_id, "parameter": SECRET, "change": "changed", "from": None, "to": None}
    ]


def test_what_becomes_false_and_is_left_out_is_changed_and_not_removed(rig: Rig, workspace: SimulatedWorkspace) -> None:
    was = dict.fromkeys(("continuous", "development", "photon"), True)
    pipeline_id = workspace.add_pipeline(spec=was)
    discover_all(rig)
    assert values(rig, pipeline_id) == was
    workspace.set_spec(pipeline_id, {})
    report = sync(rig, pipeline_id)
    assert [(one.parameter, one.kind.value, one.before, one.after) for one in report.changes] == [
        (name, "changed", True, False) for name in was
    ]
    assert values(rig, pipeline_id) == dict.fromkeys(was, False)


def test_a_pipeline_s_own_parameters_are_imported_for_reference(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline(spec={"parameters": {"custom.day": "2026-11-01", "custom.token": "hush"}})
    discover_all(rig)
    assert (values(rig, pipeline_id)["custom.day"], values(rig, pipeline_id)["custom.token"]) == ("2026-11-01", None)
