"""Checkpoints are kept by a process of their own, so that no command and no takeover waits for one.

It starts from the checkpoint before, reads what was journaled since, verifying it, and keeps the
state that this comes to. Standbys send for it first, a leader only where none does.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import msgspec
import structlog

from domain.image import to_image
from domain.subjects import Subjects
from handlers.bus import Address, Bus, BusUnavailableError, close, connect
from handlers.engine.standby import Standby
from handlers.journal import checkpoints
from handlers.journal.stream import JetStreamError

log = structlog.stdlib.get_logger(__name__)

STANDBY_EVENTS = 50_000
"""A standby has a checkpoint kept when the journal has grown by this many events."""
LEADER_EVENTS = 75_000
"""A leader does when it has grown by so many, for then there is no standby."""
LOOK_S = 30.0
"""How often it is looked whether the journal has grown."""
REST = 10
"""So many times as long as a checkpoint took nobody asks for the next."""
NICENESS = 19
"""Whoever else has something to do goes first."""


class Errand(msgspec.Struct, frozen=True):
    """What the process is told on its standard input: credentials are not for command lines."""

    address: Address
    prefix: str
    replicas: int = 1


class Keeper:
    """Has checkpoints of one region kept."""

    def __init__(self, bus: Bus, errand: Errand) -> None:
        self._bus = bus
        self._errand = errand
        self._subjects = Subjects(errand.prefix)

    async def run(self, position: Callable[[], int], every: int) -> NoReturn:
        """Have one kept whenever the journal has grown by `every` events since the last one."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_S)
            if await self._grown(position()) < every:
                continue
            began = clock()
            await self._send_for_one()
            await asyncio.sleep(REST * (clock() - began))

    async def _grown(self, position: int) -> int:
        """Return by how much; 0 where nobody can tell."""
        try:
            return position - await checkpoints.newest_position(self._bus, self._subjects)
        except (BusUnavailableError, JetStreamError) as error:
            await log.awarning("checkpoint.unknown", why=str(error))
            return 0

    async def _send_for_one(self) -> None:
        """Run the process to its end; what stands in its way stops nobody else."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "handlers.engine.keeper"), stdin=asyncio.subprocess.PIPE
        )
        try:
            await process.communicate(msgspec.json.encode(self._errand))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            await log.awarning("checkpoint.failed", code=process.returncode)


async def keep(errand: Errand) -> None:
    """Keep a checkpoint of the journal as it is now.

    Raises `JournalDamagedError`, `BrokenHistoryError`, `UnsafeStreamError`, `JetStreamError`,
    `BusUnavailableError`.
    """
    subjects = Subjects(errand.prefix)
    bus = await connect(errand.address, name="restow checkpoint")
    try:
        standby = Standby(bus, subjects, "")
        await standby.catch_up()
        image = to_image(standby.region)
        await checkpoints.save(bus, subjects, standby.head, image, replicas=errand.replicas)
    finally:
        await close(bus)
    log.info("checkpoint.kept", position=standby.head.position, bytes=len(image))


def main() -> None:
    """Do the errand on standard input; whoever cannot ends with its trace and 1."""
    os.nice(NICENESS)
    asyncio.run(keep(msgspec.json.decode(sys.stdin.buffer.read(), type=Errand)))


if __name__ == "__main__":
    main()
