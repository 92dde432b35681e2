"""Whatever a frozen container waits for goes before what else this machine does.

Linux shares its processors out by sessions first (autogroups): `nice` counts only within one. The
standard library alone: a shim hurries too.
"""

from contextlib import suppress
from pathlib import Path

FIRST, USUAL = -10, 0


def hurry(process: int | str = "self", nice: int = FIRST) -> None:
    """Put the session of a process before others; nothing where that cannot be, or it has ended.

    It is to be in a session of its own: all that is in it goes first.
    """
    with suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text(str(nice))
