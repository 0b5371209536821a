"""What Databricks, its neighbours and Entra ID refuse. The tree of all errors is at the top of errors.py.

rules/wire/databricks_errors tells from an answer which of these it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from polysync_core.values.errors import PolysyncError, as_sentence

PERMISSION_HINT = (
    "Add this app's service principal (its managed identity) to the workspace and give it Can Run on the pipeline."
)
WRONG_TENANT_HINT = (
    "The token is of the wrong tenant or for the wrong audience. Check the workspace's address, and that the app's "
    "identity is of the tenant that the workspace belongs to."
)
NETWORK_HINT = (
    "Connect the app to a virtual network that the workspace lets in (VNet integration), or add the app's outbound "
    "addresses to the workspace's IP access list."
)
SIGN_IN_HINT = (
    "Set the workspace's own address, like https://adb-1234567890123456.7.azuredatabricks.net; if it is right, a proxy "
    "or gateway between asks people to sign in."
)


class DatabricksError(PolysyncError):
    """A response of Databricks that is not a success.

    `databricks_status` is its HTTP status. `error_code` is its code as text, or None if missing. `says` is its message,
    cut to a limit. `does_not_exist` and `route_unknown` are two kinds of 404. A 404 of neither kind is about something
    else and proves nothing. `hint` is the remedy, if one remedy fits all errors of the class.
    rules/wire/databricks_errors distinguishes the kinds.
    """

    code, title = "DatabricksError", "Databricks refused the call"
    hint = ""

    def __init__(
        self,
        detail: str,
        *,
        databricks_status: int,
        error_code: str | None = None,
        says: str = "",
        does_not_exist: bool = False,
        route_unknown: bool = False,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(as_sentence(detail), retry_after_seconds=retry_after_seconds)
        self.databricks_status = databricks_status
        self.error_code = error_code
        self.says = says
        self.does_not_exist = does_not_exist
        self.route_unknown = route_unknown
        passed_on = databricks_status in {400, 403, 404, 409, 429}
        self.http_status = databricks_status if passed_on else 502

    @property
    def is_busy(self) -> bool:
        """Whether Databricks did not accept the call and asks for a retry later."""
        return self.databricks_status in {429, 503}

    @property
    def is_transient(self) -> bool:
        """Whether a retry of a read may succeed."""
        return self.databricks_status in {408, 429, 500, 502, 503, 504}

    @property
    def refuses_app(self) -> bool:
        """Whether the response is about this app or its network path. Every other call would then fail too."""
        return self.databricks_status == 401

    def members(self) -> Mapping[str, object]:
        return {"databricks": self.as_member()}

    def as_member(self) -> Mapping[str, object]:
        """Return the response of Databricks as the problem's `databricks` member."""
        return {"status": self.databricks_status, "error_code": self.error_code, "message": self.says}


class PipelineNotFound(DatabricksError):
    code, title = "PipelineNotFound", "No such pipeline"

    @classmethod
    def of(cls, error: DatabricksError) -> PipelineNotFound:
        """`error`, which says that the pipeline does not exist, under its own code."""
        return cls(
            error.detail,
            databricks_status=error.databricks_status,
            error_code=error.error_code,
            says=error.says,
            does_not_exist=True,
        )


class PermissionRefused(DatabricksError):
    """If `refuses_token` is true, the refusal is about the app's token and not about the requested object."""

    code, title = "DatabricksPermissionDenied", "Databricks does not let this app do that"

    def __init__(
        self, says: str, *, databricks_status: int, error_code: str | None, refuses_token: bool = False
    ) -> None:
        what, hint = ("token", WRONG_TENANT_HINT) if refuses_token else ("identity", PERMISSION_HINT)
        super().__init__(
            f"Databricks refused this app's {what}: {as_sentence(says or 'no reason given')} {hint}",
            databricks_status=databricks_status,
            error_code=error_code,
            says=says,
        )
        self.hint = hint
        self.refuses_token = refuses_token
        self.http_status = 403

    @property
    def refuses_app(self) -> bool:
        return self.refuses_token or self.databricks_status == 401


class DatabricksNetworkRefused(DatabricksError):
    """Databricks refuses the app's network. This affects every call to the workspace, not just one job or update."""

    code, title = "DatabricksNetworkRefused", "Databricks' network rules do not let this app in"
    hint = NETWORK_HINT

    def __init__(self, trouble: str, *, databricks_status: int, error_code: str | None, says: str) -> None:
        super().__init__(
            f"The workspace refuses the network that the app comes from: {trouble}. {self.hint}",
            databricks_status=databricks_status,
            error_code=error_code,
            says=says,
        )
        self.http_status = 403

    @property
    def refuses_app(self) -> bool:
        return True


class DatabricksSignInPage(DatabricksError):
    code, title = "DatabricksSignInPage", "The workspace's address answers with a sign-in page"
    hint = SIGN_IN_HINT

    def __init__(self, *, databricks_status: int, says: str = "") -> None:
        super().__init__(
            f"The workspace's address answers {databricks_status} with a page to sign in at. {self.hint}",
            databricks_status=databricks_status,
            says=says,
            retry_after_seconds=60,
        )
        self.http_status = 503

    @property
    def refuses_app(self) -> bool:
        return True


class DatabricksUnreachable(PolysyncError):
    """No usable response came. If `was_sent` is false, the request was never sent, so nothing happened."""

    code, title = "DatabricksUnreachable", "Databricks did not answer"

    def __init__(self, detail: str, *, was_sent: bool) -> None:
        super().__init__(detail, retry_after_seconds=15)
        self.was_sent = was_sent
        self.http_status = 504 if was_sent else 503


class TokenUnavailable(PolysyncError):
    code, http_status, title = "TokenUnavailable", 503, "Entra ID gave no token"
