"""Programs of the system, run to their end, and what they said where they failed."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from handlers.agent.runtime import RuntimeFailedError
from handlers.machine.moving import CRIU_PLACES

SAID_MAX = 400
"""So many characters of what a program said are kept in an error."""
BEYOND_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
PROC = Path("/proc")
SETTINGS: Mapping[str, str] = {"runc": "RESTOW_RUNC", "criu": "RESTOW_CRIU"}
"""Which settings name a program that is not to be looked for on the path."""


def program(name: str) -> str:
    """Return where a program is. Raises `RuntimeFailedError` where it is not there."""
    named = os.environ.get(SETTINGS.get(name, ""))
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *BEYOND_PATH))
    found = (
        named or shutil.which(name, path=path) or next(filter(os.path.exists, placed(name)), None)
    )
    if found is None:
        message = f"there is no {name} on this machine: see `restow doctor`"
        raise RuntimeFailedError(message)
    return found


def placed(name: str) -> tuple[str, ...]:
    """Return where we put what Debian has too old."""
    return tuple(str(Path(place).absolute()) for place in CRIU_PLACES if name == "criu")


async def run(*words: str, given: bytes = b"") -> str:
    """Run a program and return what it said. Raises `RuntimeFailedError` with its last words.

    Cancelled, it is killed: whatever it was doing is done anew or put right by the next order.
    """
    process = await asyncio.create_subprocess_exec(
        program(words[0]),
        *words[1:],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate(given)
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    return _checked(words, process.returncode or 0, said)


def run_now(*words: str) -> str:
    """Run a program that takes a moment, in a place that cannot wait. Raises as `run` does."""
    ended = subprocess.run(  # noqa: S603 - programs and arguments of ours
        (program(words[0]), *words[1:]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return _checked(words, ended.returncode, ended.stdout)


def is_open(path: Path) -> bool:
    """Tell whether any process of this machine has a file open."""
    if not path.exists():
        return False
    return any(_links_to(process / "fd", str(path)) for process in PROC.glob("[0-9]*"))


def _links_to(folder: Path, path: str) -> bool:
    """Tell whether one is that file. Who ends meanwhile, or may not be looked at, is not ours."""
    try:
        return any(str(entry.readlink()) == path for entry in folder.iterdir())
    except OSError:
        return False


def _checked(words: tuple[str, ...], code: int, said: bytes) -> str:
    text = said.decode(errors="replace").strip()
    if code:
        message = f"{' '.join(words[:3])} ended with {code}: {text[-SAID_MAX:]}"
        raise RuntimeFailedError(message)
    return text
