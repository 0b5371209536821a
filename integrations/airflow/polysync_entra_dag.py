"""Run a Databricks pipeline through Polysync in an Airflow workflow: start it, wait for its end, stop what is left.

The DAG signs in with Entra ID. The login of the connection `polysync` is the audience: api://<client id>.
"""

import json
from datetime import timedelta

from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG, Connection
from airflow.sdk.exceptions import AirflowFailException
from azure.identity import DefaultAzureCredential
from requests import PreparedRequest, Response
from requests.auth import AuthBase

PIPELINE_ID = "8279d543-063c-4d63-9926-dae38e35ce8b"
RUN = "api/runs/{{ ti.xcom_pull(task_ids='start') }}"


class EntraSignIn(AuthBase):
    """Adds a token of the identity with which Airflow runs: a managed identity, or the one in AZURE_CLIENT_ID."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        audience = Connection.get("polysync").login
        token = DefaultAzureCredential().get_token(f"{audience}/.default").token
        request.headers["Authorization"] = f"Bearer {token}"
        return request


def has_succeeded(response: Response) -> bool:
    """False while the update goes on; a run that ended otherwise fails the task at once, with its reason."""
    run = response.json()
    if run["isFinished"] and run["status"] != "Success":
        raise AirflowFailException(f"{run['status']}: {run['message']} {run['updateUrl']}")
    return bool(run["isFinished"])


SIGN_IN = {"auth": EntraSignIn()}  # of requests: HttpSensor has no auth_type

# A deferred HttpOperator does not send request_kwargs.
with DAG("polysync_entra", schedule=None, default_args={"owner": "airflow", "deferrable": False}) as dag:
    start = HttpOperator(
        task_id="start",
        http_conn_id="polysync",
        request_kwargs=SIGN_IN,
        endpoint=f"api/pipelines/{PIPELINE_ID}/updates",
        data=json.dumps({"full_refresh": False}),
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": "{{ dag.dag_id }}/{{ run_id }}/{{ ti.task_id }}/{{ ti.try_number }}",
        },
        response_filter=lambda response: response.json()["runId"],
        retries=0,
    )
    wait = HttpSensor(
        task_id="wait",
        http_conn_id="polysync",
        request_kwargs=SIGN_IN,
        endpoint=RUN,
        response_check=has_succeeded,
        response_error_codes_allowlist=["429", "500", "502", "503", "504"],
        poke_interval=30,
        timeout=timedelta(days=1).total_seconds(),
        mode="reschedule",
        retries=3,
    )
    stop = HttpOperator(task_id="stop", http_conn_id="polysync", request_kwargs=SIGN_IN, endpoint=f"{RUN}/cancel")

    start >> wait >> stop.as_teardown(setups=start)
