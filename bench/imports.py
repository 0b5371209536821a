"""The import of the app beside the import of the libraries that its first request needs.

    python -m bench.imports [--times 15]

Each import is made by a new interpreter, and the sides take turns. "function_app" finds the bytecode of all modules,
"from source" only that of the libraries: so it is where the app's folder cannot be written. The seconds of the
processor depend less on other work of the machine than the seconds of the clock do. The second table lists our own
modules, by the time that each takes without the modules that it imports. It is measured by -X importtime.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
APP = "import function_app"
LIBRARIES = """
import azure.functions
import requests
import urllib3
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableEntity, UpdateMode
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from standardwebhooks import Webhook
"""
"""What a start and a sweep use. azure.identity is not among them: the app imports it for its first token."""
TELEMETRY = """
import os
from azure.monitor.opentelemetry import configure_azure_monitor
configure_azure_monitor(logger_name="polysync")
import function_app
os._exit(0)
"""
"""As the Functions worker does it. The process ends at once, because a normal exit would wait for the exporter."""
SIDES = {
    "nothing": "",
    "libraries": LIBRARIES,
    "function_app": APP,
    "from source": APP,
    "telemetry and function_app": TELEMETRY,
}
SETTINGS = {
    "DATABRICKS_HOST": "http://127.0.0.1:9",
    "POLYSYNC_TABLES": "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:9/a",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-0000-4000-8000-000000000001;"
    "IngestionEndpoint=http://127.0.0.1:9/;LiveEndpoint=http://127.0.0.1:9/",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "azure_sdk,django,fastapi,flask,httpx,psycopg2,requests,urllib,urllib3",
}
MOST_EXPENSIVE, LOOKS = 10, 5
_OURS = re.compile(r"import time: +(\d+) \| +\d+ \| +(function_app|polysync_core\S*)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description="The import of the app, measured.")
    parser.add_argument("--times", type=int, default=15, metavar="N")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        compiled, source = _environ(Path(folder) / "compiled"), _environ(Path(folder) / "source")
        for environ in (compiled, source):
            _run(environ, "-c", LIBRARIES + TELEMETRY)  # writes the bytecode
        shutil.rmtree(Path(f"{source['PYTHONPYCACHEPREFIX']}{ROOT}/polysync_core"))
        source["PYTHONDONTWRITEBYTECODE"] = "1"
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in SIDES}
        for _ in range(options.times):
            for name, code in SIDES.items():
                measured[name].append(_seconds(source if name == "from source" else compiled, code))
        modules = _most_expensive(compiled)
    table = Table("import of", "seconds", "of the processor", "ratio", "of the processor")
    bare_clock, bare_cpu = _medians(measured["libraries"])
    for name, pairs in measured.items():
        clock, cpu = _medians(pairs)
        table.add_row(name, f"{clock:.3f}", f"{cpu:.3f}", f"{clock / bare_clock:.2f}", f"{cpu / bare_cpu:.2f}")
    Console().print(table)
    table = Table("module of ours", "milliseconds")
    for milliseconds, module in modules:
        table.add_row(module, f"{milliseconds:.1f}")
    Console().print(table)


def _environ(bytecode: Path) -> dict[str, str]:
    """The environment of an app whose bytecode is in the folder `bytecode`."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, **SETTINGS, "PYTHONPYCACHEPREFIX": str(bytecode)}


def _seconds(environ: Mapping[str, str], code: str) -> tuple[float, float]:
    """Run `code` in a new interpreter. Returns its seconds, by the clock and of the processor."""
    began, used = time.perf_counter(), _cpu_seconds()
    _run(environ, "-c", code)
    return time.perf_counter() - began, _cpu_seconds() - used


def _cpu_seconds() -> float:
    """The processor's seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return median(clock for clock, _ in pairs), median(cpu for _, cpu in pairs)


def _most_expensive(environ: Mapping[str, str]) -> list[tuple[float, str]]:
    """Our modules with the longest imports, in milliseconds: of each module, the shortest of a few imports."""
    found: dict[str, int] = {}
    for _ in range(LOOKS):
        for microseconds, module in _OURS.findall(_run(environ, "-X", "importtime", "-c", APP)):
            found[module] = min(int(microseconds), found.get(module, sys.maxsize))
    return sorted(((each / 1000, module) for module, each in found.items()), reverse=True)[:MOST_EXPENSIVE]


def _run(environ: Mapping[str, str], *arguments: str) -> str:
    """Run a new interpreter. Returns what it wrote to standard error."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stderr


if __name__ == "__main__":
    main()
