"""What in a container cannot be saved by CRIU, read from /proc while it runs.

A live move is refused with this list before anything of it begins, so that nothing stands still
for a dump which cannot succeed. What is not known to fail is not on it.
"""

import asyncio
import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from handlers.agent.runtime import RuntimeFailedError

PROC = Path("/proc")
CAP_SYS_RESOURCE = 24
PIDFD_GETFD = 438
SHOWN_MAX = 5
"""So many reasons are told one by one."""
LOOKS, PAUSE_S = 3, 0.1
"""What is seen so often is so: a check of health comes and goes, and is half outside at first."""
FILES = {
    "anon_inode:[io_uring]": "an io_uring",
    "anon_inode:[userfaultfd]": "a userfaultfd",
    "anon_inode:[fanotify]": "an fanotify watch",
    "anon_inode:[perf_event]": "a perf event",
    "anon_inode:bpf-map": "a BPF map",
    "anon_inode:bpf-prog": "a BPF program",
    "anon_inode:kvm-vm": "a virtual machine",
}
"""What an open file is, by what it links to, that CRIU has no words for."""
DEVICES = frozenset({"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"})
FAMILIES = frozenset(
    {socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET}
)
MPTCP = 262
SPACES = {"user": "users", "net": "networks", "pid": "processes"}
"""Namespaces of which a container has one and no more."""

_libc = ctypes.CDLL(None, use_errno=True)


async def pass_or_say(container: str, processes: Path, first: int) -> None:
    """Raise `RuntimeFailedError` where a container cannot be saved.

    `processes` is the file of its cgroup that names them, `first` its first one.
    """
    against = _those(processes, first)
    for _ in range(LOOKS - 1):
        if not against:
            return
        await asyncio.sleep(PAUSE_S)
        again = _those(processes, first)
        against = tuple(one for one in against if one in again)
    if against:
        raise RuntimeFailedError(told(container, against))


def _those(processes: Path, first: int) -> tuple[str, ...]:
    try:
        others = {int(pid) for pid in processes.read_text().split()} - {first}
    except FileNotFoundError:
        return ()  # it has ended; whoever moves it will see
    return objections((first, *sorted(others)))


def objections(pids: tuple[int, ...], *, capable: bool | None = None) -> tuple[str, ...]:
    """Return why these processes, the first one first, cannot be saved; nothing where they can.

    `capable`: this process may raise the limits of others; by default it is looked up.
    """
    may = has_resources() if capable is None else capable
    said = (one for pid in pids for one in _of(pid, pids[0], capable=may))
    return tuple(dict.fromkeys(said))


def told(container: str, against: tuple[str, ...]) -> str:
    """Return the refusal, as one line."""
    more = len(against) - SHOWN_MAX
    rest = f"; and {more} more" if more > 0 else ""
    why = "; ".join(against[:SHOWN_MAX])
    return f"{container} cannot be saved by CRIU, and can be moved cold only: {why}{rest}"


def has_resources() -> bool:
    """Tell whether we have CAP_SYS_RESOURCE, which some virtual machines do not grant."""
    held = next(line.split()[1] for line in _status(os.getpid()) if line.startswith("CapEff:"))
    return bool(int(held, 16) >> CAP_SYS_RESOURCE & 1)


def _of(pid: int, first: int, *, capable: bool) -> Iterator[str]:
    """Yield what there is against one process; one that ends meanwhile says nothing."""
    try:
        status = dict(line.split(":", 1) for line in _status(pid) if ":" in line)
        who = f"process {status.get('NSpid', str(pid)).split()[-1]} ({status['Name'].strip()})"
        if status["State"].split()[0] in "ZX":
            return
        user = int(status["Uid"].split()[0])
        if user and not capable:
            yield f"{who} is user {user}, and this machine does not grant CAP_SYS_RESOURCE"
        if int(status["TracerPid"]):
            yield f"{who} is traced"
        yield from (f"{who} {what}" for what in _spaces(pid, first))
        yield from (f"{who} has {what} open" for what in _files(pid))
    except (FileNotFoundError, ProcessLookupError):
        return


def _status(pid: int) -> list[str]:
    return (PROC / str(pid) / "status").read_text().splitlines()


def _spaces(pid: int, first: int) -> Iterator[str]:
    for kind, what in SPACES.items():
        own, whole = (str((PROC / str(one) / "ns" / kind).readlink()) for one in (pid, first))
        if own != whole:
            yield f"has a namespace of {what} of its own"


def _files(pid: int) -> Iterator[str]:
    for entry in sorted((PROC / str(pid) / "fd").iterdir(), key=lambda path: int(path.name)):
        link = str(entry.readlink())
        if link in FILES:
            yield FILES[link]
        elif link.startswith("/dev/") and not _known(link):
            yield f"the device {link}"
        elif link.startswith("socket:") and (what := _socket(pid, int(entry.name))):
            yield what


def _known(link: str) -> bool:
    name = link.removeprefix("/dev/").partition(" ")[0]
    return name in DEVICES or name.startswith(("pts/", "shm/", "mqueue/"))


def _socket(pid: int, fd: int) -> str:
    """Return what a socket is, "" where CRIU can save it; our own copy of it is closed at once."""
    holder = os.pidfd_open(pid)
    try:
        own = _libc.syscall(PIDFD_GETFD, holder, fd, 0)
    finally:
        os.close(holder)
    if own < 0:
        return ""  # it was closed meanwhile
    with socket.socket(fileno=own) as one:
        if one.proto == MPTCP:
            return "a socket of MPTCP"
        return "" if one.family in FAMILIES else f"a socket of family {int(one.family)}"
