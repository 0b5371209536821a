"""The addresses of the Databricks workspaces and of Table Storage."""

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
        """The partition of its rows: the host, and the port if there is one. So a renamed workspace keeps its runs."""
        return self.url.partition("://")[2].lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class TablesAddress:
    """The address of Table Storage: a connection string, or an endpoint that is called with the app's identity.

    `client_id` is the user-assigned identity for the endpoint. None means the identity that is also used for
    Databricks.
    """

    connection_string: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    client_id: str | None = None
