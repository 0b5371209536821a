"""Says what an error of azure-data-tables means: its code, and the StorageUnavailable that a caller gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException

from azure.core.exceptions import AzureError, DeserializationError, HttpResponseError
from requests import RequestException

from polysync_core.values.errors import StorageUnavailable

TROUBLE = (AzureError, DeserializationError, RequestException, HTTPException)
"""The errors that azure-data-tables raises: its own, and the transport's for truncated or malformed responses."""
_REMEDIES = {
    "AuthorizationFailure": "The storage account's network rules do not let the app in. Allow the app's network in the "
    "account's networking, or give the tables a private endpoint in the app's virtual network.",
    "AuthorizationPermissionMismatch": "Give the app's identity the role Storage Table Data Contributor on the storage "
    "account. A new role may take ten minutes to be in force.",
    "KeyBasedAuthenticationNotPermitted": "The storage account refuses keys. Set the address of its tables instead of "
    "a connection string, so that the app's identity opens them.",
}
"""By storage's error code, https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes."""
_OTHER_REMEDY = "Give the app's identity the role Storage Table Data Contributor, or check the connection string."


def code_of(wrong: HttpResponseError) -> str | None:
    """Storage's own code of the error, such as TableNotFound. None when the response has none.

    The code is an enum of the library, or a text that the library does not know. `create_entity` raises an error
    without it, so it is read from the response then. Source: azure-data-tables 12.7.0, `_table_client.py`.
    """
    code = getattr(wrong, "error_code", None)
    if code is None and wrong.response is not None:
        headers: Mapping[str, str] = getattr(wrong.response, "headers", {})
        code = headers.get("x-ms-error-code") or code_in(wrong.response.text())
    return None if code is None else str(getattr(code, "value", code))


def unavailable(wrong: Exception) -> StorageUnavailable:
    """Describe the error without the text of the library, which holds addresses."""
    if isinstance(wrong, HttpResponseError) and wrong.status_code is not None:
        code = code_of(wrong)
        known = _REMEDIES.get(code or "")
        if known is not None:
            return StorageUnavailable(f"Table Storage answered {wrong.status_code} {code}. {known}")
        remedy = f" {_OTHER_REMEDY}" if wrong.status_code in {401, 403} else ""
        return StorageUnavailable(f"Table Storage answered {wrong.status_code}.{remedy}")
    return StorageUnavailable(f"Table Storage did not answer ({type(wrong).__name__}).")


def code_in(body: str) -> str | None:
    """The error code in a JSON body of storage, or None."""
    try:
        code = json.loads(body)["odata.error"]["code"]
    except (ValueError, LookupError, TypeError):
        return None
    return code if isinstance(code, str) else None
