"""The simulated Entra ID tenant that the tests of this folder use. Its keys take a while to make, so it is shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

from local.entra import SimulatedEntra
from tests.local.entra.page import Page

REQUIRED = ["exp", "nbf", "iat", "tid", "oid"]
Validate = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def shared() -> Iterator[SimulatedEntra]:
    with SimulatedEntra() as entra:
        yield entra


@pytest.fixture
def entra(shared: SimulatedEntra) -> SimulatedEntra:
    shared.up()
    shared.clear_faults()
    shared.clear_fetches()
    shared.clear_sign_in()
    return shared


@pytest.fixture
def page(entra: SimulatedEntra) -> Page:
    return Page(entra)


@pytest.fixture
def keys(entra: SimulatedEntra) -> jwt.PyJWKClient:
    """PyJWT's client of the key set, as the app uses it."""
    return jwt.PyJWKClient(f"{entra.url}/{entra.tenant}/discovery/v2.0/keys", timeout=5)


@pytest.fixture
def validate(entra: SimulatedEntra, keys: jwt.PyJWKClient) -> Validate:
    """Return the claims of a v2 access token. Raises PyJWTError for another token. It looks at no scp or idtyp."""

    def check(token: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["RS256"],
            audience=entra.audience,
            issuer=f"{entra.url}/{entra.tenant}/v2.0",
            options={"require": REQUIRED},
        )

    return check
