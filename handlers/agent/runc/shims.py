"""The shims of a host: started, told to stop, asked whether they are there."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from handlers.agent.runc.charge import Told, holder
from handlers.agent.runc.places import Home
from handlers.agent.runtime import RuntimeFailedError

ROOT = Path(__file__).parents[3]
LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from handlers.agent.runc.shim import launch; from pathlib import Path;"
    "sys.exit(launch(Path(sys.argv[2])))"
)
POLL_S = 0.01
ENDS_S = 10.0


def words(home: Home) -> tuple[str, ...]:
    """Return the command line of a shim: an interpreter that looks at nobody's settings."""
    return (sys.executable, "-I", "-S", "-c", LAUNCH, str(ROOT), str(home.run))


async def start(home: Home) -> None:
    """Return when the container runs. Raises `RuntimeFailedError` with what runc said."""
    _forget(home)
    process = await asyncio.create_subprocess_exec(
        *words(home),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        message = f"{home.container} does not start: {said.decode(errors='replace').strip()}"
        raise RuntimeFailedError(message)


def start_now(home: Home) -> subprocess.Popen[bytes]:
    """Start it without waiting for how that goes: it is seen by what it tells."""
    _forget(home)
    null = subprocess.DEVNULL
    return subprocess.Popen(words(home), stdin=null, stdout=null, stderr=null)  # noqa: S603


def _forget(home: Home) -> None:
    """Let nobody believe what a killed shim told, once the next one is there and has told nothing.

    Its container may still be up: the next shim destroys it before it starts its own.
    """
    if not there(home):
        told(home).write(home.seen)


def there(home: Home) -> bool:
    """Tell whether a shim is beside the container."""
    return holder(home.lock) is not None


def told(home: Home) -> Told:
    """Return what the shim says of its container; that nothing runs, where there is no shim."""
    seen = Told.read(home.seen)
    return seen if there(home) else Told(restarts=seen.restarts, code=seen.code, why=seen.why)


def signal_to(home: Home, number: signal.Signals) -> bool:
    """Signal the shim; return whether there is one."""
    process = holder(home.lock)
    if process:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            return False
    return process is not None


async def until(home: Home, state: str, within_s: float) -> None:
    """Return when the shim says that it is so. Raises `RuntimeFailedError` where it never does."""
    until_s = time.monotonic() + within_s
    while told(home).state != state:
        if time.monotonic() > until_s or not there(home):
            message = f"{home.container} is {told(home).state}, and not {state}: {told(home).why}"
            raise RuntimeFailedError(message)
        await asyncio.sleep(POLL_S)


def await_end(home: Home) -> None:
    """Return when there is no shim any more, in a place that cannot wait. Raises `TimeoutError`."""
    until_s = time.monotonic() + ENDS_S
    while there(home):
        if time.monotonic() > until_s:
            message = f"{home.container} was fenced {ENDS_S:g} s ago, and its shim is still there"
            raise TimeoutError(message)
        time.sleep(POLL_S)


async def end(home: Home, number: signal.Signals = signal.SIGTERM) -> None:
    """Return when the container and its shim are no more. Cancelled, it goes on to its end."""
    sent = False
    while (process := holder(home.lock)) is not None:
        if process and not sent:
            sent = signal_to(home, number)
        await asyncio.sleep(POLL_S)
