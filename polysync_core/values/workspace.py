"""Where the services are that the app works with: the Databricks workspaces and Table Storage."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """A named Databricks workspace. `url` is scheme and host, without a slash at the end."""

    name: str
    url: str
    resource_id: str | None = None

    @property
    def partition(self) -> str:
        """The partition of its rows: host, and port if there is one. A workspace that is renamed keeps its runs."""
        return self.url.partition("://")[2].lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class TablesAddress:
    """Where Table Storage is: a connection string, or an endpoint that the app's identity opens.

    `client_id` names a user-assigned identity for the endpoint; None: the one that opens Databricks too.
    """

    connection_string: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    client_id: str | None = None
