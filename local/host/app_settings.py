"""Looks up the settings that an app's bindings name. As in the host, they are environment variables."""

import os
import re

from local.host.functions import HostStartError


def resolve_names(text: str, owner: str) -> str:
    """Return `text` with each %NAME% replaced by the setting NAME.

    Raises HostStartError when a setting is not set. Its message begins with `owner`, the subject of the sentence.
    """

    def value_of(name: re.Match[str]) -> str:
        if name[1] not in os.environ:
            raise HostStartError(f"{owner} names {name[0]}, which is not set")
        return os.environ[name[1]]

    return re.sub(r"%([^%]+)%", value_of, text)


def is_disabled(function: str) -> bool:
    """Whether a setting disables the function. Source: learn.microsoft.com/azure/azure-functions/disable-function."""
    return os.environ.get(f"AzureWebJobs.{function}.Disabled", "").strip().lower() in {"true", "1"}


def read_connection(setting: str, owner: str) -> str:
    """Return the value of a connection setting. Raises HostStartError when it is not set or blank."""
    value = os.environ.get(setting, "").strip()
    if not value:
        raise HostStartError(f"{owner} names the connection setting {setting}, which is not set")
    return value
