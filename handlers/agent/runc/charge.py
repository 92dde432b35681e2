"""What a shim is charged with, and what it tells of it: two small files, and a lock.

The standard library alone, and little of it: a shim is a process of its own beside each container.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Check:
    """How it is known that a container is healthy: `kind` is `runs`, `tcp`, `http` or `command`."""

    kind: str = "runs"
    port: int = 0
    path: str = "/"
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Charge:
    """One container: what runs it, what it is called there, and what is to be done with it.

    `images`: the folder of what it is to be restored from, "" where it begins anew; then `criu`
    restores it with the flags `saved`, and it is as `healthy` as it was.
    """

    runc: str
    state: str
    name: str
    bundle: str
    log: str
    freezer: str
    switch: str
    keep: bool = False
    grace_s: float = 10.0
    restarts: int = 0
    check: Check = field(default_factory=Check)
    images: str = ""
    criu: str = ""
    saved: tuple[str, ...] = ()
    healthy: bool = False
    masked: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        _replace(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Charge":
        known = json.loads(path.read_text())
        check = known.pop("check")
        command = tuple(check.pop("command"))
        return cls(check=Check(command=command, **check), **known)


@dataclass(frozen=True)
class Told:
    """What a shim says of its container. `pid` is its first process, 0 where none runs.

    `state` is running, held or stopped; `code` how it ended the last time.
    """

    state: str = "stopped"
    pid: int = 0
    healthy: bool = False
    restarts: int = 0
    code: int | None = None
    why: str = ""

    def write(self, path: Path) -> None:
        _replace(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Told":
        """Return what was told last; that nothing runs, where nothing was told."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return cls()


def hold(lock: Path) -> int | None:
    """Take the lock of a container's shim and leave our process id in it; None where it is held."""
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    os.ftruncate(fd, 0)  # an earlier shim's id may be some other process's by now
    return fd


def sign(fd: int) -> None:
    """Say in the lock who holds it."""
    os.pwrite(fd, str(os.getpid()).encode(), 0)


def holder(lock: Path) -> int | None:
    """Return the process id of the shim that is there; 0 where it has not said it yet."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        written = os.pread(fd, 20, 0)
        return int(written) if written else 0
    finally:
        os.close(fd)
    return None


def _replace(path: Path, value: Any) -> None:
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)
