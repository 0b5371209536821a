"""Reads the files of an app's folder: function_app.py, host.json, local.settings.json."""

import hashlib
import importlib.util
import json
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import azure.functions as func

from local.host.functions import HostStartError
from local.host.queue_settings import QueueSettings, decode_queue_settings


def load_app(app_dir: Path) -> func.FunctionRegister:
    """Import `app_dir/function_app.py`, once in each process, and return its app object.

    The module is named function_app if `import function_app` would import this very file. Otherwise it gets a name of
    its own, so that one process can serve the apps of several folders. Raises HostStartError if the file does not hold
    exactly one app object.
    """
    file = app_dir.resolve() / "function_app.py"
    if not file.is_file():
        raise HostStartError(f"there is no function_app.py in {app_dir}")
    known = importlib.util.find_spec("function_app")
    is_plain_import = known is not None and known.origin is not None and Path(known.origin).resolve() == file
    folder_digest = hashlib.sha256(str(file).encode()).hexdigest()[:8]
    name = "function_app" if is_plain_import else f"function_app_{folder_digest}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise HostStartError(f"{file} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    apps = {id(value): value for value in vars(sys.modules[name]).values() if isinstance(value, func.FunctionRegister)}
    if len(apps) != 1:
        raise HostStartError(f"{file} must hold one FunctionApp object, not {len(apps)}")
    return apps.popitem()[1]


def read_route_prefix(app_dir: Path) -> str:
    """Return extensions.http.routePrefix of host.json without outer slashes. The default is `api`."""
    prefix = _read_extension(app_dir, "http").get("routePrefix", "api")
    return str(prefix).strip("/")


def read_queue_settings(app_dir: Path) -> QueueSettings:
    """Return extensions.queues of host.json. Raises HostStartError for a value that the host refuses."""
    try:
        return decode_queue_settings(_read_extension(app_dir, "queues"))
    except ValueError as error:
        raise HostStartError(f"{app_dir / 'host.json'}: extensions.queues: {error}") from error


def apply_local_settings(app_dir: Path, environ: MutableMapping[str, str]) -> None:
    """Copy the Values of local.settings.json into `environ`. A name that is already there keeps its value.

    Raises HostStartError for encrypted values and for values that are not strings.
    """
    file = app_dir / "local.settings.json"
    if not file.is_file():
        return
    settings = _read_object(file)
    if settings.get("IsEncrypted"):
        raise HostStartError(f"{file}: encrypted values cannot be read; decrypt it (IsEncrypted: false)")
    for name, value in settings.get("Values", {}).items():
        if not isinstance(value, str):
            raise HostStartError(f"{file}: the value of {name} must be a string")
        environ.setdefault(name, value)


def _read_extension(app_dir: Path, name: str) -> dict[str, Any]:
    file = app_dir / "host.json"
    host = _read_object(file) if file.is_file() else {}
    extension: dict[str, Any] = host.get("extensions", {}).get(name, {})
    return extension


def _read_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise HostStartError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise HostStartError(f"{file} must hold a JSON object")
    return content
