"""Who knocks at a container that is about to be frozen: nobody new, and those before are let in.

The kernel completes a connection, and takes in what is said over it, before the program has
accepted it. CRIU saves none of those: whoever waits there would wait for ever, for what it has
said is acknowledged. So the door is shut first, for openings alone, and all who are in the hall are
let in while the container still runs.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from handlers.agent.runc.tools import run
from handlers.agent.runtime import RuntimeFailedError

ACCEPTS_S = 1.0
"""A program that lets people wait for so long is not interrupted."""
HANDSHAKE_S = 0.1
"""Who has knocked and says nothing more within this time is not waited for."""
POLL_S = 0.002
OPENING, LISTENING = "03", "0A"
"""States of a socket, as the kernel numbers them."""
TABLE = "inet restow-door"
CLOSED = (
    f"add table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{ chain in {{"
    " type filter hook prerouting priority -400; tcp flags & (syn | ack) == syn drop; }; }\n"
)
OPEN = f"add table {TABLE}\ndelete table {TABLE}\n"


async def settle(network: Path, pid: int) -> None:
    """Let nobody open a connection to who is in a namespace, and those in who have; see `all_in`.

    Who knocks meanwhile tries again in a second.
    """
    await run("nsenter", f"--net={network}", "nft", "-f", "-", given=CLOSED.encode())
    await all_in(pid)


async def reopen(network: Path) -> None:
    """Let everybody in again, whether the door was shut or not."""
    await run("nsenter", f"--net={network}", "nft", "-f", "-", given=OPEN.encode())


async def all_in(pid: int) -> None:
    """Return when everybody who knocked at a process's namespace has been let in.

    Raises `RuntimeFailedError` where the program does not accept them.
    """
    began_s = time.monotonic()
    while any(halls := tuple(waiting(pid, LISTENING))) or (
        time.monotonic() < began_s + HANDSHAKE_S and any(waiting(pid, OPENING))
    ):
        if time.monotonic() > began_s + ACCEPTS_S:
            message = f"{sum(halls)} connections have not been accepted for {ACCEPTS_S:g} s"
            raise RuntimeFailedError(message)
        await asyncio.sleep(POLL_S)


def waiting(pid: int, state: str) -> Iterator[int]:
    """Yield, for each socket in a state, how many wait there: itself, where it is opening."""
    for name in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{name}")
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        for words in map(str.split, lines):
            if words[3] == state:
                yield 1 if state == OPENING else int(words[4].partition(":")[2], 16)
