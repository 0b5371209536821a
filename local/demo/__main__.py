"""python -m local.demo [--stay] [--pipeline ID]. The exit status is 0 only when every step succeeded."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from local.azurite import AzuriteError
from local.demo.screen import Screen
from local.demo.stack import running_stack
from local.demo.story import DemoError, Story
from polysync_core.values.errors import SettingsError


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="A run from start to end on this machine.")
    parser.add_argument("--stay", action="store_true", help="keep everything running afterwards, until Ctrl-C")
    parser.add_argument("--pipeline", help="with DATABRICKS_HOST: the pipeline to start, and to start and cancel")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    screen = Screen()
    screen.say("Polysync: Databricks pipeline updates, started and followed to their end.")
    log_file = Path(tempfile.mkdtemp(prefix="polysync-demo-")) / "app.log"
    try:
        with running_stack(log_file) as stack:
            if stack.workspace is None:
                screen.say("Your own workspace, with your own login; storage is an emulator on this machine.")
            else:
                screen.say("Everything runs on this machine: the app, Azurite, and a simulated Databricks workspace.")
            story = Story(stack, screen)
            story.where_next(story.tell(given.pipeline))
            if given.stay:
                screen.say("\nAll of it keeps running; these lines work. Ctrl-C ends it.")
                signal.pause()
    except (DemoError, AzuriteError, SettingsError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        screen.say("\nStopped; nothing is left running.")
        return 0 if given.stay else 130
    if not given.stay:
        screen.say("\nDone; nothing is left running. make demo ARGS=--stay keeps it up, so that these lines work.")
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
