"""A proxy on 127.0.0.1 that breaks calls on demand: between the app and Azurite, the workspace or a receiver.

In a test:

    plan = FaultPlan()
    with FaultProxy(azurite_url, plan, name="storage", label=storage_label) as proxy:
        plan.add(Fault("reset", when="after", label="POST $batch starting*", times=1))
        ...
        plan.calls()      the calls that came through, with their labels

From a shell, until SIGINT or SIGTERM:

    python -m local.faults --upstream http://127.0.0.1:10002 [--port N] [--kind storage] [--fault '{"kind": …}']

The proxy passes on path, query, headers (also Host) and body unchanged. So a signature that was made for the proxy's
address is valid at Azurite too. Table Storage signs the path and the date, and the emulator's path holds the account's
name.

labels  a call's name without ids, such as `POST $batch active run recent` or `POST /pipelines/{id}/updates`
proxy   the server
"""

from local.fault import Fault, FaultPlan, SeenCall
from local.faults.labels import plain_label, storage_label, workspace_label
from local.faults.proxy import FaultProxy

__all__ = ["Fault", "FaultPlan", "FaultProxy", "SeenCall", "plain_label", "storage_label", "workspace_label"]
