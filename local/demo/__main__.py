"""python -m local.demo [--stay] [--callers keys] [--pipeline ID]. The exit status is 0 only if every step succeeded."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from local.azurite import AzuriteError
from local.demo.callers import TokenCallers
from local.demo.client import DemoError
from local.demo.screen import Screen
from local.demo.stack import MODES, PACE_SECONDS, Stack, running_stack
from local.demo.story import Story
from polysync_core.rules.wire.entra_settings import ENTRA
from polysync_core.values.errors import SettingsError


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="make demo", description="A run from start to end on this machine.")
    parser.add_argument("--stay", action="store_true", help="keep everything running afterwards, until Ctrl-C")
    parser.add_argument(
        "--callers", choices=MODES, default=ENTRA, help="how callers are let in, as POLYSYNC_CALLERS (default: entra)"
    )
    parser.add_argument("--pipeline", help="with DATABRICKS_HOST: the pipeline to start, and to start and cancel")
    parser.add_argument(
        "--pace",
        type=float,
        default=PACE_SECONDS,
        metavar="SECONDS",
        help="how long each state of an update lasts in the simulated workspace (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def main() -> int:
    given = read_options(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupt)
    screen = Screen()
    screen.say("Polysync: Databricks pipeline updates, started and followed to their end.")
    log_file = Path(tempfile.mkdtemp(prefix="polysync-demo-")) / "app.log"
    try:
        with running_stack(log_file, given.callers, given.pace) as stack:
            _say_what_runs(screen, stack, given.callers)
            story = Story(stack, screen)
            story.where_next(story.tell(given.pipeline), stays=given.stay)
            if given.stay:
                _say_how_to_go_on(screen, stack)
                signal.pause()
    except (DemoError, AzuriteError, SettingsError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        screen.say("\nStopped; nothing is left running.")
        return 0 if given.stay else 130
    if not given.stay:
        again = shlex.quote(" ".join(["--stay", *sys.argv[1:]]))
        screen.say(f"\nDone; nothing is left running. make demo ARGS={again} keeps it up, so that these lines work.")
    return 0


def _say_what_runs(screen: Screen, stack: Stack, mode: str) -> None:
    if stack.workspace is None:
        screen.say("Your own workspace, with your own login; storage is an emulator on this machine.")
        if mode == ENTRA:
            screen.say("Callers sign in with a simulated Entra ID on this machine.")
    else:
        entra = " a simulated Entra ID," if mode == ENTRA else ""
        screen.say(f"Everything runs on this machine: the app, Azurite,{entra} and a simulated Databricks workspace.")
    if stack.unused:
        screen.say(f"Not used from your environment, because the demo has its own: {', '.join(stack.unused)}.")


def _say_how_to_go_on(screen: Screen, stack: Stack) -> None:
    screen.say("\nAll of it keeps running. Paste these lines in another shell, in this folder. Ctrl-C here ends it.")
    screen.say(f"The page shows it all: {stack.url}/api/page. {stack.callers.page_hint}")
    differences = stack.readme_differences()
    if differences:
        screen.say(f"For the commands of the README, {'; and '.join(differences)}.")
    else:
        screen.say("The commands of the README work too.")
    if isinstance(stack.callers, TokenCallers):
        screen.say("A token is valid for an hour. The same commands get new ones.")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
