"""Run another program that ends when its parent ends, however the parent ends.

`python -m restow.leash PARENT PROGRAM [ARGUMENT...]` becomes the program. On Linux the kernel
kills it when the parent is gone; elsewhere it is an ordinary program. Nothing but the standard
library is imported, since every process of `restow up` starts here.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>: the signal that a process gets when its parent ends; it outlives exec."""


def hold(parent: int) -> None:
    """Bind this process to `parent`; exits at once where the parent is gone already."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:  # it ended before the kernel knew what to do then
        sys.exit(1)


def main(arguments: list[str]) -> None:
    parent, program, *rest = arguments
    hold(int(parent))
    os.execvp(program, [program, *rest])  # noqa: S606  no shell is what is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
