"""A conversation with a region over the bus: commands asked for certain, questions, statuses."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace
from uuid_utils import uuid7

from domain.contracts import Reply
from domain.messages import Code, Refusal
from domain.problems import Problem, problem
from domain.subjects import Subjects
from handlers.bus import (
    CONNECT_S,
    Bus,
    BusUnavailableError,
    Message,
    close,
    connect,
    listen,
    request,
    silence,
)
from handlers.journal.safety import verify
from restow.client import Client
from restow.settings import Region

PATIENCE_S = 5.0
"""How long a command is asked again, under the same id, while no engine leads."""
ATTEMPT_S = 1.0
"""How long an answer is waited for before the same is asked again: its engine may have died."""
READ_S = 5.0
"""How long an answer to a question is waited for."""
STATUS_S = 0.4
"""How long statuses are waited for; engines that are well answer within a few milliseconds."""
AGAIN_S = 0.25
PASSING = {
    Code.ENGINE_NOT_LEADER,
    Code.ENGINE_CATCHING_UP,
    Code.BUS_UNAVAILABLE,
    Code.RATE_LIMITED,
    Code.WAIT_TIMEOUT,
}
"""Problems that pass by themselves."""

Body = Mapping[str, Any]


class EngineStatus(msgspec.Struct, frozen=True):
    """What an engine says of itself."""

    engine: str
    role: str
    epoch: int
    position: int
    leader: str = ""
    durability: str = ""
    reasons: tuple[str, ...] = ()
    waiting: int = 0
    turned_away: int = 0

    @property
    def leads(self) -> bool:
        return self.role == "leader"


class Conversation(Protocol):
    """What a command line says to a region, or to a sandbox in its place."""

    async def ask(self, command: str, body: Body) -> Reply | Problem: ...

    async def read(self, query: str, body: Body) -> dict[str, Any] | Problem: ...

    async def engines(self) -> tuple[EngineStatus, ...]: ...


class Talk:
    """Asks and reads; what is refused comes back as a `Problem`."""

    def __init__(self, bus: Bus, subjects: Subjects, actor: str = "") -> None:
        self._bus = bus
        self.subjects = subjects
        self._client = Client(bus, subjects, actor=actor)

    async def ask(
        self, command: str, body: Body, *, patience_s: float = PATIENCE_S
    ) -> Reply | Problem:
        """Ask for a command, again and again under one id while no engine answers."""
        named = {**body, "id": body.get("id") or str(uuid7())}
        clock = asyncio.get_running_loop().time
        give_up = clock() + patience_s
        while True:
            answer = await self._client.ask(command, named, within_s=ATTEMPT_S)
            if not isinstance(answer, Problem):
                return answer
            pause_s = pause_after(answer)
            if answer.code not in PASSING or clock() + pause_s >= give_up:
                return replace(answer, command_id=str(named["id"]))
            await asyncio.sleep(pause_s)

    async def verify(self, monitors: Sequence[str], *, relaxed: bool) -> None:
        """Check that the server keeps what it acknowledges. Raises `UnsafeServerError`."""
        await verify(self._bus, self.subjects, monitors, relaxed=relaxed)

    async def read(self, query: str, body: Body) -> dict[str, Any] | Problem:
        """Put a question to the read side and return the answer as JSON has it.

        While the read side catches up the question is put again, for `READ_S`.
        """
        clock = asyncio.get_running_loop().time
        give_up = clock() + READ_S
        while True:
            answer = await self._read(self.subjects.query(query), msgspec.json.encode(body))
            catching_up = isinstance(answer, Problem) and answer.code is Code.ENGINE_CATCHING_UP
            if not catching_up or clock() >= give_up:
                return answer
            await asyncio.sleep(AGAIN_S)

    async def _read(self, subject: str, body: bytes) -> dict[str, Any] | Problem:
        try:
            said = await request(self._bus, subject, body, within_s=READ_S)
        except BusUnavailableError as error:
            return problem(unread(error))
        answer = msgspec.json.decode(said, type=dict[str, Any])
        if {"code", "status", "detail"} <= answer.keys():
            return msgspec.convert(answer, Problem)
        return answer

    @asynccontextmanager
    async def hearing(self, subject: str, hear: Callable[[bytes], None]) -> AsyncGenerator[None]:
        """Call `hear` with whatever is said on a subject, during the block."""

        async def heard(message: Message) -> None:
            hear(message.data)

        listening = await listen(self._bus, subject, heard)
        try:
            yield
        finally:
            await silence(self._bus, listening)

    async def engines(self, *, within_s: float = STATUS_S) -> tuple[EngineStatus, ...]:
        """Return what every engine that runs says of itself, by name."""
        inbox = self._bus.new_inbox()
        told: dict[str, EngineStatus] = {}

        async def hear(message: Message) -> None:
            if message.data:  # empty where nobody is there
                status = msgspec.json.decode(message.data, type=EngineStatus)
                told[status.engine] = status

        listening = await listen(self._bus, inbox, hear)
        await self._bus.publish(self.subjects.status(), b"", inbox)
        await asyncio.sleep(within_s)
        await silence(self._bus, listening)
        return tuple(told[name] for name in sorted(told))


def pause_after(answer: Problem) -> float:
    """Return how many seconds to wait; who asks too much is told exactly."""
    limited = answer.code is Code.RATE_LIMITED
    return max(AGAIN_S, answer.retry_after_ms / 1_000) if limited else AGAIN_S


def unread(error: BusUnavailableError) -> Refusal:
    """Return why a question was not answered."""
    if isinstance(error.__cause__, TimeoutError):
        return Refusal(Code.WAIT_TIMEOUT, f"the read side did not answer within {READ_S:g} s")
    hint = "no read side is running; start `restow up`, or `restow reader`"
    return Refusal(Code.BUS_UNAVAILABLE, hint, facts={"said": str(error)})


@asynccontextmanager
async def talk(
    region: Region, name: str = "restow", *, within_s: float = CONNECT_S
) -> AsyncGenerator[Talk]:
    """Return a conversation with a region. Raises `BusUnavailableError`."""
    bus = await connect(region.address, name=name, within_s=within_s)
    try:
        yield Talk(bus, Subjects(region.prefix))
    finally:
        await close(bus)
