"""Which values of a pipeline's configuration are secrets, by their name and by their format. Pure.

A secret is stored as a keyed hash. A value that may be a secret is hidden. A user can look it up in Databricks, while
a secret that was shown once cannot be taken back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re

from polysync_core.values.job import HiddenValue, Value

_REFERENCE = re.compile(r"\{\{\s*secrets/[^{}]*\}\}")
"""Databricks' reference to a secret of a scope: https://learn.microsoft.com/azure/databricks/security/secrets/"""
_ACCOUNT = re.compile(r"\.[a-z0-9-]+\.\w+\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)$")
"""The storage account that ends a name like fs.azure.account.key.<account>.dfs.core.windows.net."""
_KEYS = (
    "access|account|api|auth|client|encryption|function|hmac|host|master|private|sas|secret|service|shared|signing|ssh"
    "|storage|subscription"
)
_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|secret|credential|connection\.?string|authorization"
    rf"|({_KEYS})\.?keys?(?![a-z])|(^|\.)(pwd|pass|pat|sas|jwt|bearer|signature|sig)(\.|$)"
)
_TOKEN_NAME = re.compile(r"token(?!iz)")
_ABOUT_SECRETS = re.compile(
    r"\.(provider|type|class|name|enabled|required|endpoint|expiry|ttl|length|scope|policy|interval|timeout|seconds"
    r"|minutes|hours|days|count|limit|size|file|path|algorithm|format|version)$"
)
"""The end of a name that describes a secret, such as the class that fetches it. Its value is not a secret."""
_SECRET_FORMS = re.compile(
    r"(?:^|[;?&,\s\"'{(])[\w.-]*(?:password|passwd|pwd|passphrase|account_?key|access_?key|api_?key|private_?key"
    r"|secret_?key|signature|sig|secret|token)[\"']?\s*[=:]\s*[\"']?[^\s;&\"'=:]"  # in a connection string, URL or JSON
    r"|:\/\/[^/\s:@]*:[^/\s@]+@"  # user:password@ in a URL
    r"|jdbc:oracle:\w+:[^/\s]+/[^@\s]+@"
    r"|-----BEGIN "  # PEM
    r"|\bdapi\w{8}|\b(?:dose|dkea|dsapi)[0-9a-f]{8}"  # Databricks' own tokens and secrets
    r"|\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"  # JWT
    r"|\b(?:bearer|basic) [\w.~+/-]{8,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[opsur]_\w{20}|\bgithub_pat_\w{20}|\bxox[abprs]-\w{8}|\bAIza[\w-]{35}"
    r"|\b[\w~.-]{3}8Q~[\w~.-]{31}"  # a client secret of Entra ID
    r"|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==",  # the key of a storage account
    re.IGNORECASE,
)


def is_secret(name: str, value: Value) -> bool:
    """Whether to hide a value. Booleans are shown, and so are references: they say only where a secret is."""
    if isinstance(value, bool):
        return False
    text = _REFERENCE.sub("", value if isinstance(value, str) else json.dumps(value)).strip()
    words = _ACCOUNT.sub("", _words(name))
    is_named = _SECRET_NAME.search(words) or (isinstance(value, str) and _TOKEN_NAME.search(words))
    return bool(text) and bool((is_named and not _ABOUT_SECRETS.search(words)) or _SECRET_FORMS.search(text))


def _words(name: str) -> str:
    """A name's words in lower case, joined by dots. clientSecret, client_secret and client.secret give the same."""
    return re.sub(r"[^a-z0-9]+", ".", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", ".", name).lower())


def hide(name: str, value: Value, key: bytes) -> HiddenValue:
    """The HMAC-SHA256 of name and value. It changes when the value changes, and does not reveal the value."""
    text = value if isinstance(value, str) else json.dumps(value)
    return HiddenValue(hmac.new(key, f"{name}\0{text}".encode(), hashlib.sha256).hexdigest())


def hiding_key(secret: bytes) -> bytes:
    """The key of the hashes. It is derived from the first await key ever made, so that no key has two uses."""
    return hmac.new(secret, b"hidden parameters", hashlib.sha256).digest()
