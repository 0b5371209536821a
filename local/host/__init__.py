"""Serves the app as the Azure Functions host would, for laptops and tests. It is never deployed.

functions   reads the functions that an app declares, with the checks of the host and the worker
routes      finds the function for a method and a path, by the host's rules
schedules   finds the next time of an NCRONTAB schedule, and runs timer functions
invoker     runs one invocation, from the trigger's value to its output bindings
queues      listens to the queues of queue functions, and writes to the queues of output bindings
config      reads host.json, local.settings.json and function_app.py of a folder
conversion  turns requests and messages into a function's argument, and its result into a Reply or messages
runner      runs sync functions on a thread pool and async functions on one asyncio loop
server      LocalHost, which joins them, over local.loopback
"""

from local.host.config import load_app
from local.host.functions import HostStartError, load_functions
from local.host.server import LocalHost

__all__ = ["HostStartError", "LocalHost", "load_app", "load_functions"]
