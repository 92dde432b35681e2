"""Whether a container is healthy: asked where it is, in its own network namespace.

A shim asks, in a thread: the standard library alone.
"""

import ctypes
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from handlers.agent.runc.charge import Charge, Check

CLONE_NEWNET = 0x40000000
PATIENCE_S = 2.0
SOON_S = 0.1
USUAL_S = 1.0
FAILURES_MAX = 3
"""So many checks in a row fail before what was healthy is not: a freeze is not an illness."""
HTTP_OK = re.compile(rb"HTTP/1\.[01] [23]\d\d ")
LOOPBACK = "127.0.0.1"

_libc = ctypes.CDLL(None, use_errno=True)


def enter_network(pid: int) -> None:
    """Bring this thread into the network of a process. Raises `OSError`."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(fd)


def passes(check: Check, charge: Charge) -> bool:
    """Check once; the thread is in the network of the container."""
    match check.kind:
        case "tcp":
            return _answers(check.port)
        case "http":
            return _serves(check.port, check.path)
        case "command":
            return _succeeds(check.command, charge)
        case _:
            return True


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), PATIENCE_S).close()
    except OSError:
        return False
    return True


def _serves(port: int, path: str) -> bool:
    ask = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: restow\r\nConnection: close\r\n\r\n"
    )
    try:
        with socket.create_connection((LOOPBACK, port), PATIENCE_S) as talk:
            talk.sendall(ask.encode())
            return HTTP_OK.match(talk.recv(64)) is not None
    except OSError:
        return False


def _succeeds(command: tuple[str, ...], charge: Charge) -> bool:
    words = (charge.runc, "--root", charge.state, "exec", charge.name, *command)
    try:
        ended = subprocess.run(  # noqa: S603 - inside the container, as shut in as it is
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


class Pulse:
    """Checks one life of a container until that is over; `tell` is called when the verdict changes.

    `frozen` says whether it stands still, and is not to be asked.
    """

    def __init__(
        self, charge: Charge, pid: int, tell: Callable[[bool], None], *, healthy: bool = False
    ) -> None:
        self._charge = charge
        self._pid = pid
        self._tell = tell
        self._healthy = healthy
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._check, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()

    def _check(self) -> None:
        failed = 0
        try:
            enter_network(self._pid)
        except OSError:
            return  # it is over already
        while not self._over.wait(USUAL_S if self._healthy else SOON_S):
            if frozen(self._charge.freezer):
                continue
            began = time.monotonic()
            passed = passes(self._charge.check, self._charge)
            failed = 0 if passed else failed + 1
            if self._over.is_set() or time.monotonic() - began > 2 * PATIENCE_S:
                continue  # it was frozen meanwhile: that says nothing
            if passed != self._healthy and (passed or failed >= FAILURES_MAX):
                self._healthy = passed
                self._tell(passed)


def frozen(freezer: str) -> bool:
    """Tell whether a cgroup is frozen, old or new."""
    try:
        return Path(freezer).read_text().strip() in {"FROZEN", "FREEZING", "1"}
    except OSError:
        return False
