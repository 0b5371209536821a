"""`make lock`: uv makes requirements*.txt from requirements*.in. It runs in a virtual environment of its own.

Pins that still fit are kept. `make lock ARGS=--upgrade` takes the newest versions. requirements.txt is made first,
because the other files include it.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each requirements file, and the oldest Python that it must work with.
LOCKED = {"requirements": "3.11", "requirements-dev": "3.11", "requirements-runtime": "3.13"}


def main() -> int:
    """Return 0. Raises CalledProcessError when uv cannot resolve the requirements."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = f"{folder}/bin/python"
        subprocess.run([python, "-m", "pip", "install", "-qq", "uv"], check=True)
        for name, version in LOCKED.items():
            command = [python, "-m", "uv", "pip", "compile", "-q", "--universal", "--python-version", version]
            command += ["--no-emit-index-url", "--no-annotate", "--custom-compile-command", "make lock"]
            command += [f"{name}.in", "-o", f"{name}.txt", *sys.argv[1:]]
            subprocess.run(command, check=True, cwd=ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
