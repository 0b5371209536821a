"""The documents that Entra ID serves without a token: the metadata of a tenant, and the key set. Pure.

Source: OpenID Connect Discovery 1.0, and the fields of
https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration.
"""

from __future__ import annotations

from collections.abc import Iterable

from local.entra.keys import SigningKey


def metadata_path(tenant: str) -> str:
    return f"/{tenant}/v2.0/.well-known/openid-configuration"


def keys_path(tenant: str) -> str:
    return f"/{tenant}/discovery/v2.0/keys"


def sign_in_path(tenant: str, route: str) -> str:
    """The path of authorize, token or logout."""
    return f"/{tenant}/oauth2/v2.0/{route}"


def metadata(url: str, tenant: str) -> dict[str, object]:
    """The OpenID Connect metadata of a tenant whose authority is `url`."""
    return {
        "token_endpoint": f"{url}{sign_in_path(tenant, 'token')}",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{url}{keys_path(tenant)}",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": f"{url}/{tenant}/v2.0",
        "request_uri_parameter_supported": False,
        "authorization_endpoint": f"{url}{sign_in_path(tenant, 'authorize')}",
        "device_authorization_endpoint": f"{url}/{tenant}/oauth2/v2.0/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{url}{sign_in_path(tenant, 'logout')}",
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    }


def key_set(keys: Iterable[SigningKey], url: str, tenant: str) -> dict[str, object]:
    """The key set (JWKS). Entra adds the issuer to each key."""
    own = {"cloud_instance_name": "microsoftonline.com", "issuer": f"{url}/{tenant}/v2.0"}
    return {"keys": [key.jwk() | own for key in keys]}
