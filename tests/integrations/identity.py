"""Managed identities of callers in Azure, and the endpoint where a program gets a token of its identity."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from local.entra import SimulatedEntra
from local.messages import Request
from tests.integrations.loopback import VAULT_RESOURCE, JsonServer, vault_token


class NoToken(Exception):
    """Entra ID issues no token. The message is its error."""


class ManagedIdentity:
    """The identity of a data factory, a logic app or a machine, in the tenant `entra` if there is one.

    `roles` are what `infra/entra/register grant` has given to it.
    """

    def __init__(self, entra: SimulatedEntra | None = None, roles: Sequence[str] = ()) -> None:
        self._entra = entra
        self._roles = roles
        self.object_id = str(uuid.uuid4())

    def token(self, resource: str) -> str:
        """Return a token for Key Vault or for the app. Raises NoToken for another resource, and without any role.

        infra/entra/register sets appRoleAssignmentRequired. So Entra refuses an identity without a role.
        """
        if resource == VAULT_RESOURCE:
            return vault_token()
        if self._entra is None or resource != f"api://{self._entra.audience}":
            raise NoToken(f"AADSTS500011: The resource principal named {resource} was not found in the tenant.")
        if not self._roles:
            raise NoToken(f"AADSTS501051: Application is not assigned to a role for the application {resource}.")
        return self._entra.issue(self._roles, object_id=self.object_id)


class IdentityEndpoint(JsonServer):
    """The identity endpoint of App Service: azure-identity asks it where IDENTITY_ENDPOINT is set.

    https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """

    def __init__(self, identity: ManagedIdentity) -> None:
        self._identity = identity
        self._header = uuid.uuid4().hex
        super().__init__(self._answer)

    def environ(self) -> dict[str, str]:
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": self._header}

    def _answer(self, request: Request) -> tuple[int, object]:
        resource = request.query_value("resource") or ""
        if request.headers.get("x-identity-header") != self._header or request.method != "GET":
            return 401, {"statusCode": 401, "message": "The X-IDENTITY-HEADER is wrong."}
        try:
            token = self._identity.token(resource)
        except NoToken as error:
            return 400, {"statusCode": 400, "message": str(error)}
        return 200, {
            "access_token": token,
            "expires_on": str(int(time.time()) + 3600),
            "resource": resource,
            "token_type": "Bearer",
        }
