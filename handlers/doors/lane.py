"""One tenant's commands of the durable door: asked in their order, answered, then removed.

A lane begins with the first command that is kept and ends when none is left or the tenant's rate
is used up. Many commands are under way at a time; they are removed from the front.
"""

import asyncio
from collections import deque

import structlog

from domain.contracts import reply_to
from domain.dead import TryDurable
from domain.decider import Answered, Ask
from domain.messages import REMEMBER_MS, AskId, Code, Instant, Refusal, Tenant
from domain.problems import Problem
from handlers.doors.decode import Call, internal, read
from handlers.doors.desk import DeskClosedError, Doorway
from handlers.doors.kept import Command, Kept
from handlers.doors.outcomes import Outcome, letter_of, store

log = structlog.stdlib.get_logger(__name__)

IN_FLIGHT_MAX = 256
"""Commands of a tenant that are being answered at a time."""
TRIES_MAX = 3
"""Of how many engines a command may have been the end before it is given up."""
LOOK_S = 0.02
"""How often it is looked for more commands while the last ones are under way."""
SUSPECTS = IN_FLIGHT_MAX
"""Commands of a tenant that may have been under way when the engine before this one ended."""

Future = asyncio.Future[Answered]


class TurnedAwayError(Exception):
    """The tenant, or everybody, has asked for enough; `again_ms` is when there is room again."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.again_ms = refusal.retry_after_ms


def call_of(command: Command, now: Instant) -> Call:
    """Return a kept command as it is read; without an id it is named after its place."""
    return Call(
        command.name,
        command.body,
        command.headers,
        lambda: f"cmd-{command.seq}",
        command.tenant,
        Instant(min(command.at, now) + REMEMBER_MS),
    )


class Lane:
    """Commands of one tenant. Those up to `suspect_seq` may have ended an engine."""

    def __init__(self, doorway: Doorway, kept: Kept, tenant: Tenant, suspect_seq: int) -> None:
        self._doorway = doorway
        self._desk = doorway.desk
        self._kept = kept
        self._tenant = tenant
        self._suspect_seq = suspect_seq
        self._suspects = SUSPECTS
        self._next = 1
        self._stopped = False
        self._under_way: deque[tuple[int, asyncio.Task[bool]]] = deque()
        self.refused: set[int] = set()
        """Places of commands that somebody else has refused, because too many are kept."""

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True

    def has_read(self, seq: int) -> bool:
        """Say whether a command was taken by this lane already."""
        return seq < self._next

    async def run(self, group: asyncio.TaskGroup) -> int:
        """Answer what is kept; return after how many milliseconds the tenant may go on.

        Raises `DeskClosedError`, `BusUnavailableError`, `JetStreamError`; what was not answered
        is kept.
        """
        try:
            return await self._turn(group)
        except asyncio.CancelledError:
            for _, task in self._under_way:
                task.cancel()
            raise

    async def _turn(self, group: asyncio.TaskGroup) -> int:
        await self._settle()  # what a turn before has left, that lost the bus
        self._next, again_ms = 1, 0
        try:
            await self._read_all(group)
        except TurnedAwayError as refused:
            again_ms = refused.again_ms
        await self._settle()
        return again_ms

    async def _read_all(self, group: asyncio.TaskGroup) -> None:
        while not self._stopped:
            command = await self._kept.next(self._tenant, self._next)
            if command is not None and not self._stopped:
                if command.seq not in self.refused:
                    await self._begin(command, group)
                self._next = command.seq + 1
                if len(self._under_way) < IN_FLIGHT_MAX:
                    continue
            elif not self._under_way:
                return
            await asyncio.wait([self._under_way[0][1]], timeout=LOOK_S)
            await self._clear()

    async def _settle(self) -> None:
        if self._under_way:
            await asyncio.wait([task for _, task in self._under_way])
            await self._clear()

    async def _clear(self) -> None:
        """Remove what is answered, from the front. Raises `DeskClosedError`."""
        answered = 0
        while self._under_way and self._under_way[0][1].done():
            seq, task = self._under_way.popleft()
            if task.cancelled() or task.exception() is not None or not task.result():
                self._under_way.clear()
                raise DeskClosedError
            answered = seq
        if answered:
            await self._kept.remove_before(self._tenant, answered + 1)

    async def _begin(self, command: Command, group: asyncio.TaskGroup) -> None:
        """Ask for a command, and let the answer find its way."""
        now = self._doorway.now()
        ask = read(call_of(command, now), now)
        suspect = command.seq <= self._suspect_seq and self._suspects > 0
        if isinstance(ask, Problem):
            self._pay(self._desk.charge(self._tenant))
            work = self._tell(command, ask, poison=True)
        else:
            future = await self._asked(command, ask, suspect=suspect)
            work = self._answer(command, ask, future)
        task = group.create_task(work)
        self._under_way.append((command.seq, task))
        if suspect:  # nothing else is asked before it has its answer
            self._suspects -= 1
            await asyncio.wait([task])

    async def _asked(self, command: Command, ask: Ask, *, suspect: bool) -> Future:
        """Ask the desk. A suspect is noted first, and given up if it was noted too often."""
        if suspect and not self._desk.knows(ask):
            origin = self._origin(command)
            tries = (f"try {origin} {number}" for number in range(1, TRIES_MAX + 1))
            marks = (Ask(AskId(name), TryDurable(), actor="door") for name in tries)
            mark = next((one for one in marks if not self._desk.knows(one)), None)
            if mark is None:
                log.error("door.gave_up", ask=ask.id, origin=origin)
                return self._desk.give_up(ask)
            await self._desk.ask(mark)
        future = self._desk.ask(ask)
        if future.done() and not future.cancelled() and future.exception() is None:
            answer = future.result().answer
            self._pay(answer if isinstance(answer, Refusal) else None)
        return future

    def _pay(self, refusal: Refusal | None) -> None:
        """Stop here if there was no room: this command is the first of the next turn."""
        if refusal is not None and refusal.code is Code.RATE_LIMITED:
            raise TurnedAwayError(refusal)

    async def _answer(self, command: Command, ask: Ask, future: Future) -> bool:
        """Wait for the answer and tell it; False if there is none, for the desk closed.

        A mistake of the desk is told, and raised.
        """
        await asyncio.wait([future])
        if future.cancelled() or isinstance(future.exception(), DeskClosedError):
            return False
        mistake = future.exception()
        if mistake is None:
            told = reply_to(future.result(), ask.id)
            poison = isinstance(told, Problem) and told.code is Code.INTERNAL
            return await self._tell(command, told, poison=poison)
        trace = self._doorway.new_id()
        log.error("door.broken", trace=trace, ask=ask.id, exc_info=mistake)
        await store(self._doorway, self._tenant, self._origin(command), internal(trace, ask.id))
        await self._kept.remove(command.seq)
        raise mistake

    async def _tell(self, command: Command, told: Outcome, *, poison: bool) -> bool:
        """Keep a letter of what is poison, then store the outcome."""
        if poison and isinstance(told, Problem):
            kept = self._desk.ask(letter_of(command, self._origin(command), told))
            await asyncio.wait([kept])
            if kept.cancelled() or kept.exception() is not None:
                return False
        await store(self._doorway, self._tenant, self._origin(command), told)
        return True

    def _origin(self, command: Command) -> str:
        return f"{self._kept.stream}/{command.seq}"
