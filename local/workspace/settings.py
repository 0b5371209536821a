"""The settings of a simulated workspace. A test may change them while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class WorkspaceSettings:
    """The settings are read at every call, so a change takes effect at the next call.

    pace_seconds: how long a state of an update lasts, for pipelines that are added later without a pace of their own.
        None: only control methods change states.
    latency_seconds: the delay before every call of the API is executed.
    token_seconds: the lifetime of the tokens that the identity endpoint issues.
    has_update_stop: whether POST /pipelines/{id}/updates/{uid}/stop exists. It is not in the public reference.
    required_resource_id: "/subscriptions/…". If set, callers must also send X-Databricks-Azure-Workspace-Resource-Id
        and X-Databricks-Azure-SP-Management-Token.
    conflict_error_code: the `error_code` of the 409 for a second start. The real one is unknown.
    ignores_event_filters: GET …/events ignores a given filter. This was seen on real workspaces.
    """

    pace_seconds: float | None = None
    latency_seconds: float = 0.0
    token_seconds: float = 3600.0
    has_update_stop: bool = True
    required_resource_id: str | None = None
    conflict_error_code: str = "RESOURCE_CONFLICT"
    ignores_event_filters: bool = False
