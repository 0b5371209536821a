"""The settings of a simulated workspace. A test may change them while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class WorkspaceSettings:
    """Read at every call, so a change counts from the next one.

    pace_seconds: how long a state of an update lasts, for pipelines added afterwards without a pace of their own;
        None: states change by control methods only.
    latency_seconds: added before every call of the API is executed.
    token_seconds: lifetime of the tokens that the identity endpoint hands out.
    has_update_stop: whether POST /pipelines/{id}/updates/{uid}/stop exists. It is in no public reference and no SDK.
    update_stop_refusal: how the workspace answers where it does not: a name of known_answers.
    required_resource_id: "/subscriptions/…": callers must then also send X-Databricks-Azure-Workspace-Resource-Id and
        X-Databricks-Azure-SP-Management-Token.
    conflict_error_code: `error_code` of the 409 on a second start; the real one is unknown.
    listing_shows_options: whether GET …/updates shows the fields that an update was started with, such as
        validate_only; the GET of one update always does.
    shows_undocumented_options: whether both show also such fields as reset_checkpoint_selection, which UpdateInfo of
        the SDK does not have.
    ignores_event_filters: GET …/events answers as if no filter had been given (seen on real workspaces).
    """

    pace_seconds: float | None = None
    latency_seconds: float = 0.0
    token_seconds: float = 3600.0
    has_update_stop: bool = False
    update_stop_refusal: str = "bad_target"
    required_resource_id: str | None = None
    conflict_error_code: str = "RESOURCE_CONFLICT"
    listing_shows_options: bool = True
    shows_undocumented_options: bool = True
    ignores_event_filters: bool = False
