"""The two doors of an app, for the tests of the templates: a function key, or a sign-in with Entra ID."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from local.entra import SimulatedEntra
from tests.integrations.identity import ManagedIdentity
from tests.integrations.loopback import KeyVault
from tests.integrations.stack import FUNCTION_KEY, Stack

OPERATE = "Polysync.Operate"


@dataclass(frozen=True, kw_only=True)
class Door:
    """A running app, an identity that may start and cancel runs there, and what else its callers need.

    `parameters` are those that every template of this form takes. `header` is what a caller without a template sends.
    """

    stack: Stack
    identity: ManagedIdentity
    parameters: Mapping[str, str]
    header: tuple[str, str]


def key_door(stack: Stack, vault: KeyVault) -> Door:
    """The door for callers with a function key. Their identity gets a token for Key Vault."""
    return Door(
        stack=stack,
        identity=ManagedIdentity(),
        parameters={"appUrl": stack.url, "keySecretUrl": vault.secret_url},
        header=("x-functions-key", FUNCTION_KEY),
    )


def entra_door(stack: Stack, entra: SimulatedEntra) -> Door:
    """The door for callers that sign in. Their identity, and the person behind `header`, have Polysync.Operate."""
    return Door(
        stack=stack,
        identity=ManagedIdentity(entra, [OPERATE]),
        parameters={"appUrl": stack.url, "appResource": f"api://{entra.audience}"},
        header=("Authorization", f"Bearer {entra.issue([OPERATE], kind='user')}"),
    )
