"""A proxy on 127.0.0.1 that breaks calls on demand: between the app and Azurite, the workspace or a receiver.

In a test:

    plan = FaultPlan()
    with FaultProxy(azurite_url, plan, name="storage", label=storage_label) as proxy:
        plan.add(Fault("reset", when="after", label="POST $batch starting*", times=1))
        ...
        plan.calls()      what came through, by label

From a shell, until SIGINT or SIGTERM:

    python -m local.faults --upstream http://127.0.0.1:10002 [--port N] [--kind storage] [--fault '{"kind": …}']

Path, query, headers (Host too) and body go on exactly as they came: Table Storage signs the path and the date, and the
emulator's path holds the account's name, so a signature made for the proxy's address is valid behind it.

labels  a call's name without its ids, as `POST $batch active run recent` or `POST /pipelines/{id}/updates`
proxy   the server
"""

from local.fault import Fault, FaultPlan, SeenCall
from local.faults.labels import plain_label, storage_label, workspace_label
from local.faults.proxy import FaultProxy

__all__ = ["Fault", "FaultPlan", "FaultProxy", "SeenCall", "plain_label", "storage_label", "workspace_label"]
