"""The Airflow DAG of integrations/. Airflow is not in our requirements. The DAG's page says how it was run."""

from __future__ import annotations

import ast
import re

from local.host import load_app, load_functions
from local.host.functions import HttpTrigger
from tests.integrations.stack import INTEGRATIONS, ROOT

FILE = INTEGRATIONS / "airflow" / "polysync_dag.py"


def test_the_dag_calls_routes_that_the_app_has() -> None:
    text = FILE.read_text()
    compile(text, FILE.name, "exec")
    called = {_template(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.JoinedStr | ast.Constant)}
    served = {
        re.sub(r"\{\w+\}", "{}", f"api/{function.trigger.route}")
        for function in load_functions(load_app(ROOT))
        if isinstance(function.trigger, HttpTrigger)
    }
    assert {"api/pipelines/{}/updates", "api/runs/{}"} <= called & served
    assert "api/runs/{}/cancel" in served


def _template(node: ast.JoinedStr | ast.Constant) -> str:
    """Return the text with {} for every part that Python or Airflow fills in."""
    values = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(value.value) if isinstance(value, ast.Constant) else "{}" for value in values)
    return re.sub(r"\{\{.*?\}\}", "{}", text)
