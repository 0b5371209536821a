"""The Airflow DAGs of integrations/. Airflow is not in our requirements. The DAGs' page says how they were run."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from requests.auth import AuthBase

from local.entra import SimulatedEntra
from local.host import load_app, load_functions
from local.host.functions import HttpTrigger
from tests.integrations.doors import OPERATE, Door
from tests.integrations.identity import IdentityEndpoint, ManagedIdentity
from tests.integrations.stack import INTEGRATIONS, ROOT

FOLDER = INTEGRATIONS / "airflow"
WITH_KEY, SIGNED_IN = FOLDER / "polysync_dag.py", FOLDER / "polysync_entra_dag.py"
TASKS = {"HttpOperator", "HttpSensor"}


class WithoutSignIn(ast.NodeTransformer):
    """Takes out of polysync_entra_dag.py what signs in, and out of both files the imports."""

    def visit(self, node: ast.AST) -> Any:
        match node:
            case ast.ClassDef(name="EntraSignIn") | ast.Import() | ast.ImportFrom() | ast.keyword(arg="request_kwargs"):
                return None
            case ast.Assign(targets=[ast.Name(id="SIGN_IN")]):
                return None
            case ast.Constant(value="polysync_entra"):
                return ast.Constant("polysync")
            case ast.Dict(keys=[ast.Constant(value="owner"), ast.Constant(value="deferrable")], values=[owner, _]):
                return ast.Dict(keys=node.keys[:1], values=[owner])
        return super().visit(node)


@pytest.mark.parametrize("file", [WITH_KEY, SIGNED_IN], ids=lambda file: file.stem)
def test_the_dag_calls_routes_that_the_app_has(file: Path) -> None:
    text = file.read_text()
    compile(text, file.name, "exec")
    called = {_template(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.JoinedStr | ast.Constant)}
    served = {
        re.sub(r"\{\w+\}", "{}", f"api/{function.trigger.route}")
        for function in load_functions(load_app(ROOT))
        if isinstance(function.trigger, HttpTrigger)
    }
    assert {"api/pipelines/{}/updates", "api/runs/{}"} <= called & served
    assert "api/runs/{}/cancel" in served


def test_the_dag_that_signs_in_differs_from_the_one_with_a_key_in_the_sign_in_alone() -> None:
    with_key, signed_in = (
        ast.dump(ast.Module(WithoutSignIn().visit(ast.parse(file.read_text())).body[1:], []))
        for file in (WITH_KEY, SIGNED_IN)
    )
    assert signed_in == with_key


def test_every_task_of_the_dag_signs_in() -> None:
    tasks = [
        node
        for node in ast.walk(ast.parse(SIGNED_IN.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TASKS
    ]
    sent = [{keyword.arg: ast.unparse(keyword.value) for keyword in task.keywords} for task in tasks]
    assert [task.get("request_kwargs") for task in sent] == ["SIGN_IN"] * 3


@pytest.mark.parametrize(("roles", "status"), [([OPERATE], 202), (["Polysync.Read"], 403)])
def test_the_sign_in_of_the_dag_is_a_token_of_the_identity_with_which_airflow_runs(
    roles: list[str], status: int, entra_door: Door, entra: SimulatedEntra, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline_id = entra_door.stack.add_pipeline("COMPLETED")
    sign_in = _class_of_the_dag("EntraSignIn", login=entra_door.parameters["appResource"])
    with IdentityEndpoint(ManagedIdentity(entra, roles)) as endpoint:
        # The developer's own settings and sign-ins are not used.
        for name, value in {**endpoint.environ(), "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}.items():
            monkeypatch.setenv(name, value)
        url = f"{entra_door.stack.url}/api/pipelines/{pipeline_id}/updates"
        answer = requests.post(url, json={}, auth=sign_in(), timeout=60)
    assert answer.status_code == status, answer.text


def _class_of_the_dag(name: str, *, login: str) -> Callable[[], AuthBase]:
    """Return that class of the DAG. Airflow is not here, so its Connection is one with that login."""
    tree = ast.parse(SIGNED_IN.read_text())
    tree.body = [
        node
        for node in tree.body
        if (isinstance(node, ast.ImportFrom) and not str(node.module).startswith("airflow"))
        or (isinstance(node, ast.ClassDef) and node.name == name)
    ]
    connections = {"polysync": SimpleNamespace(login=login)}
    names: dict[str, Any] = {"Connection": SimpleNamespace(get=connections.__getitem__)}
    exec(compile(tree, SIGNED_IN.name, "exec"), names)
    made: Callable[[], AuthBase] = names[name]
    return made


def _template(node: ast.JoinedStr | ast.Constant) -> str:
    """Return the text with {} for every part that Python or Airflow fills in."""
    values = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(value.value) if isinstance(value, ast.Constant) else "{}" for value in values)
    return re.sub(r"\{\{.*?\}\}", "{}", text)
