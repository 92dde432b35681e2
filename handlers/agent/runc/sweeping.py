"""Nothing is left behind: of one container, or of a whole host, whatever became of its agent."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from handlers.agent.runc import disks
from handlers.agent.runc.cgroups import Cgroups, cgroups_here
from handlers.agent.runc.charge import holder
from handlers.agent.runc.places import ALL, Home, Places
from handlers.agent.runc.tools import run_now
from handlers.agent.runc.wires import Wires
from handlers.agent.runtime import RuntimeFailedError

PATIENCE_S = 10.0
POLL_S = 0.005


def remove(home: Home, places: Places, cgroups: Cgroups) -> None:
    """Remove a container and all that was ever its: processes, mounts, cgroups, files.

    May be asked again wherever it was interrupted. Raises `RuntimeFailedError`.
    """
    _leave(home, places, cgroups)
    for folder in (home.run, home.data):
        if folder.exists():
            shutil.rmtree(folder)


def _leave(home: Home, places: Places, cgroups: Cgroups) -> None:
    """Have nothing of a container in the kernel."""
    _end_shim(home)
    state = places.state / home.container
    if state.exists():
        disks.free(state)  # a runc that was killed in a restore leaves its root mounted there
        run_now("runc", "--root", str(places.state), "delete", "--force", home.container)
        shutil.rmtree(state, ignore_errors=True)
    disks.unmount(home)
    Wires(places).detach(home)
    cgroups.remove(f"{places.cgroup}/{home.container}")


def sweep(places: Places) -> tuple[str, ...]:
    """Remove everything of a host, and return the names of the containers that were there."""
    names = _each(places, remove)
    for folder in {places.run, places.data}:
        shutil.rmtree(folder)
    return names


def still(places: Places) -> tuple[str, ...]:
    """End every container of a host, and return their names; disks and what is to run are kept."""
    names = _each(places, _leave)
    shutil.rmtree(places.run)
    return names


def _each(places: Places, leave: Callable[[Home, Places, Cgroups], None]) -> tuple[str, ...]:
    """Leave every container of a host, and the cgroups that held them; return their names."""
    cgroups = cgroups_here()
    homes = places.homes()
    for home in homes:
        leave(home, places, cgroups)
    cgroups.remove(places.cgroup)
    cgroups.remove_if_empty(ALL)
    return tuple(home.container for home in homes)


def _end_shim(home: Home) -> None:
    """End a shim and its container at once; one that does not hear is killed."""
    until_s = time.monotonic() + PATIENCE_S
    while (process := holder(home.lock)) is not None:
        late = time.monotonic() > until_s
        if process:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL if late else signal.SIGHUP)
        if time.monotonic() > until_s + PATIENCE_S:
            message = f"the shim of {home.container}, process {process}, does not end"
            raise RuntimeFailedError(message)
        time.sleep(POLL_S)
