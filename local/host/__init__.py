"""The app served as the Azure Functions host would, for laptops and tests; never deployed.

functions   an app object -> the functions it declares, checked as the host and the worker check them
routes      method and path -> function, by the host's rules
schedules   NCRONTAB -> the next moment, and the thread that fires a timer function then
config      host.json, local.settings.json and function_app.py of a folder
conversion  Request -> the function's parameter -> Reply, through the worker's own converters
runner      a thread pool for sync functions, one asyncio loop for async ones
server      LocalHost, which joins them, over local.loopback
"""

from local.host.config import load_app
from local.host.functions import HostStartError, load_functions
from local.host.server import LocalHost

__all__ = ["HostStartError", "LocalHost", "load_app", "load_functions"]
