"""What runc and CRIU leave loose in a container's mounts, pulled tight before it runs.

runc loses `nosuid` and `nodev` of the root when it makes that read-only. CRIU masks a file with
the machine's own /dev/null, whose mode root inside could change. The standard library alone, as a
shim is; nothing of the container is looked at or run, and no path leads through what it may write.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND = 32, 4_096
CLONE_NEWNS = 0x20000
ROOT = MS_RDONLY | MS_NOSUID | MS_NODEV
MASK = MS_RDONLY | MS_NOSUID | MS_NOEXEC
"""Not `nodev`: what is read there is read from a device, and is nothing."""


_libc = ctypes.CDLL(None, use_errno=True)


class LooseError(RuntimeError):
    """It could not be done; the message says why, and the container must not run."""


def tighten(pid: int, masked: Iterable[str]) -> None:
    """Have the root and what is masked of a container that does not run yet as they should be.

    `pid`: its first process. Raises `LooseError`.
    """
    there = _mounted(pid)
    flags = {"/": ROOT, **{path: MASK for path in masked if path in there}}
    space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    child = os.fork()
    if not child:
        os._exit(_remount(space, flags))
    os.close(space)
    _, status = os.waitpid(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        reason = os.strerror(code) if code > 0 else f"signal {-code}"
        message = f"its mounts cannot be made tight: {reason}"
        raise LooseError(message)


def _mounted(pid: int) -> frozenset[str]:
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return frozenset(line.split()[4] for line in lines)


def _remount(space: int, flags: dict[str, int]) -> int:
    """Return 0, or the errno of what failed. In a process of its own: it does not come back."""
    if _libc.setns(space, CLONE_NEWNS):
        return ctypes.get_errno()
    for path, how in flags.items():
        if _libc.mount(None, path.encode(), None, MS_REMOUNT | MS_BIND | how, None):
            return ctypes.get_errno()
    return 0
