"""Commands beyond what a tenant may have kept: refused, newest first to come, and removed.

They are answered `rate.limited`; those that were kept before stay, in their order.
"""

import asyncio

from domain.messages import Code, Refusal, Tenant
from domain.problems import Problem, problem
from handlers.doors.decode import read
from handlers.doors.desk import Doorway
from handlers.doors.kept import Command, Kept
from handlers.doors.lane import Lane, call_of
from handlers.doors.outcomes import store
from handlers.journal.stream import DUPLICATE_WINDOW, MS

TOGETHER_MAX = 64
"""Commands that are refused at a time."""
AGAIN_MS = DUPLICATE_WINDOW // MS
"""When the same id may be published again: until then the stream takes it for a copy."""


class Excess:
    """Refuses what one tenant publishes from a place on. Run it until it has caught up."""

    def __init__(self, doorway: Doorway, kept: Kept, lane: Lane, tenant: Tenant) -> None:
        self._doorway = doorway
        self._kept = kept
        self._lane = lane
        self._tenant = tenant
        self.first = 0
        """From where on commands are refused; 0 while the tenant has not too many."""

    async def run(self, waiting: int, most: int) -> None:
        """Refuse what is there. Raises `BusUnavailableError`, `JetStreamError`."""
        while batch := await self._batch():
            async with asyncio.TaskGroup() as group:
                for command in batch:
                    _ = group.create_task(self._refuse(command, waiting, most))
            if len(batch) < TOGETHER_MAX:
                break
        self._lane.refused.clear()

    async def _batch(self) -> list[Command]:
        batch: list[Command] = []
        while len(batch) < TOGETHER_MAX:
            command = await self._kept.next(self._tenant, self.first)
            if command is None or self._lane.has_read(command.seq):
                break
            self._lane.refused.add(command.seq)
            self.first = command.seq + 1
            batch.append(command)
        return batch

    async def _refuse(self, command: Command, waiting: int, most: int) -> None:
        now = self._doorway.now()
        ask = read(call_of(command, now), now)
        name = ask.command_id if isinstance(ask, Problem) else ask.id
        told = problem(too_many_kept(self._tenant, waiting, most), name)
        await store(self._doorway, self._tenant, f"{self._kept.stream}/{command.seq}", told)
        await self._kept.remove(command.seq)


def too_many_kept(tenant: Tenant, waiting: int, most: int) -> Refusal:
    return Refusal(
        Code.RATE_LIMITED,
        f"{waiting:,} commands of {tenant} are kept already, {most:,} may be; publish this one"
        f" again in {AGAIN_MS // 1_000} s, for until then its id counts as a copy",
        "",
        {"limit": "kept", "tenant": tenant, "kept": waiting, "kept_max": most},
        AGAIN_MS,
    )
