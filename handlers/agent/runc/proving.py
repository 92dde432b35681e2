"""Proof that this machine can move containers live: a tiny one is saved, ended and brought back.

What CRIU says of itself is not enough: a version may say that all is well and fail at the first
socket. So what is tried is a program with an open connection, shut in like any container. It is
made of this machine's own Python; nothing is left of it.
"""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from domain.messages import ContainerId
from handlers.agent.runc import hardening
from handlers.agent.runc.cgroups import Cgroups, cgroups_here, core_mhz
from handlers.agent.runc.hardening import Profile, Shut
from handlers.agent.runc.held import first_error
from handlers.agent.runc.images import Config
from handlers.agent.runc.moving import DUMP_LOG, SAVED, images_of, write_settings
from handlers.agent.runc.places import RUN_DEFAULT, Places
from handlers.agent.runc.sweeping import sweep
from handlers.agent.runc.tools import program
from handlers.agent.runc.wires import Wires
from handlers.agent.runtime import Ability, RuntimeFailedError, Spec

MARK, LOCK = "proof-", ".proving"
NAME = ContainerId("proof")
PATIENCE_S = 20.0
POLL_S = 0.005
SYSTEM = ("/usr", "/bin", "/lib", "/lib64")
"""Of this machine, seen by what is tried; read-only."""
COUNTS = """
import os, socket
hears = socket.create_server(("127.0.0.1", 0))
says = socket.create_connection(hears.getsockname())
ear, _ = hears.accept()
told = os.open("/data/told", os.O_CREAT | os.O_WRONLY, 0o600)
number = 0
while True:
    number += 1
    says.sendall(b"%9d" % number)
    os.pwrite(told, ear.recv(9, socket.MSG_WAITALL), 0)
"""
"""Each number goes over the connection before it is told."""


def prove(run: Path = RUN_DEFAULT) -> Ability:
    """Try it. Takes about a second, as root; at most some times `PATIENCE_S` where CRIU hangs."""
    began = time.monotonic()
    try:
        with _place(run) as places:
            Proof(places).carry_out()
    except (RuntimeFailedError, OSError) as error:
        return Ability("none", str(error), _since_ms(began))
    return Ability("stop_copy", "", _since_ms(began))


def _since_ms(began: float) -> int:
    return int((time.monotonic() - began) * 1_000)


@contextmanager
def _place(run: Path) -> Generator[Places]:
    """Have a place to try it in, one at a time; nothing is left of it, nor of who was killed."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in run.glob(f"{MARK}*"):
            sweep(_places(left))
        folder = Path(tempfile.mkdtemp(prefix=MARK, dir=run))
        try:
            yield _places(folder)
        finally:
            sweep(_places(folder))


def _places(folder: Path) -> Places:
    return Places(folder, folder, folder.name)


class Proof:
    """One trial, in a place of its own."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._home = places.home(NAME)
        self._cgroups: Cgroups = cgroups_here()
        self._cgroup = f"{places.cgroup}/{NAME}"

    def carry_out(self) -> None:
        """Raises `RuntimeFailedError`, which says what CRIU said first."""
        self._build()
        self._runc("run", "--detach", "--bundle", str(self._home.run))
        begun = self._counted_beyond(0, "does not run")
        self._cgroups.freeze(self._cgroup)
        criu = ("--criu", program("criu"))
        memory = images_of(self._home)
        memory.mkdir(mode=0o700)
        places = ("--image-path", str(memory), "--work-path", str(self._home.run))
        self._runc(*criu, "checkpoint", "--leave-running", *SAVED, *places, log=DUMP_LOG)
        frozen = self._told()
        self._runc("delete", "--force")
        restore = ("restore", "--detach", "--bundle", str(self._home.run))
        self._runc(*criu, *restore, *SAVED, *places, log="restore.log")
        self._counted_beyond(max(begun, frozen), "was brought back and does not go on")

    def _build(self) -> None:
        home = self._home
        home.make()
        for folder in (home.etc, home.volume("/data"), self._places.state):
            folder.mkdir(parents=True)
        for name in hardening.ETC_FILES:
            (home.etc / name).touch()
        write_settings(home, hold=False)
        wires = Wires(self._places)
        wires.attach(home, "127.0.0.2", held=False)
        (home.run / "config.json").write_text(json.dumps(self._configuration(wires)))

    def _configuration(self, wires: Wires) -> Mapping[str, Any]:
        spec = Spec(NAME, NAME, "", 1, 1, 1, "", volumes=("/data",))
        python = os.path.realpath(sys.executable)
        config = Config(command=(python, "-I", "-S", "-B", "-c", COUNTS))
        shut = Shut(
            Profile.MOVABLE,
            0,
            self._cgroup,
            self._cgroups.limits(1, 1, core_mhz()),
            network=str(wires.path(self._home)),
            criu=str(self._home.run / "criu.conf"),
        )
        made = dict(hardening.configuration(spec, config, self._home, shut))
        made["mounts"] = [*made["mounts"], *map(_seen, self._system())]
        return made

    def _system(self) -> Generator[str]:
        """Have links where this machine has links, and yield the folders to be seen."""
        python = os.path.realpath(sys.base_prefix)
        for path in SYSTEM:
            if Path(path).is_symlink():
                (self._home.root / path.lstrip("/")).symlink_to(Path(path).readlink())
            elif Path(path).is_dir():
                yield path
        if not python.startswith("/usr"):
            yield python

    def _runc(self, *words: str, log: str = "") -> None:
        """Run it with nothing to read or write; what it said is in its log."""
        said = self._home.run / "runc.log"
        said.unlink(missing_ok=True)
        before = ("--root", str(self._places.state), "--log", str(said), "--log-format", "json")
        null = subprocess.DEVNULL
        try:
            ended = subprocess.run(  # noqa: S603 - programs and arguments of ours
                (program("runc"), *before, *words, NAME),
                stdin=null,
                stdout=null,
                stderr=null,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            message = f"`runc {words[0]}` does not end"
            raise RuntimeFailedError(message) from error
        if ended.returncode:
            why = first_error(self._home.run / log) if log else ""
            raise RuntimeFailedError(why or _last(said) or f"runc ended with {ended.returncode}")

    def _told(self) -> int:
        told = self._home.volume("/data") / "told"
        text = told.read_text() if told.exists() else ""
        return int(text or 0)

    def _counted_beyond(self, number: int, otherwise: str) -> int:
        """Return how far it has counted, once that is further."""
        _await(lambda: self._told() > number, f"a program with an open connection {otherwise}")
        return self._told()


def _seen(path: str) -> Mapping[str, Any]:
    options = ["bind", "private", "ro", "nosuid", "nodev"]
    return {"destination": path, "type": "bind", "source": path, "options": options}


def _await(so: Callable[[], bool], otherwise: str) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not so():
        if time.monotonic() > until_s:
            raise RuntimeFailedError(otherwise)
        time.sleep(POLL_S)


def _last(log: Path) -> str:
    lines = log.read_text().splitlines() if log.is_file() else []
    return str(json.loads(lines[-1])["msg"]) if lines else ""
