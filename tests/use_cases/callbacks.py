"""Steps that the tests of callbacks share."""

from __future__ import annotations

from typing import Any

from local.rig import Rig
from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.use_cases import delivering
from polysync_core.use_cases.delivering import DeliveryReport
from polysync_core.values.callback import Callback
from polysync_core.values.run import Run


def deliver(rig: Rig, sender: CallbackSender | None = None) -> DeliveryReport:
    """Run one delivery pass."""
    services = rig.services
    return delivering.deliver_callbacks(
        [*services.workspaces.values()], sender or services.sender, services.settings.public_url
    )


def started(rig: Rig, url: str, *, field: str = "callbackUrl", **more: Any) -> Run:
    """Start a run of a new pipeline. Its caller waits for a callback at `url`."""
    key = more.pop("key", None)
    return rig.start(rig.workspace.add_pipeline(), {field: url, **more}, key=key).run


def finish(rig: Rig, run: Run, state: str = "COMPLETED") -> None:
    rig.workspace.set_state(run.run_id.pipeline_id, run.run_id.update_id, state)
    rig.sweep()


def callback_of(rig: Rig, run: Run) -> Callback:
    (callback,) = rig.stored(run.run_id).callbacks
    return callback
