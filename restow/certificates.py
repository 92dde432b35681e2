"""The certificate of one operation or migration, made from the journal and checked by a witness."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from domain.certificate import Checked
from domain.certifier import Certifier
from domain.decider import Frame
from domain.facts import Fact
from domain.messages import Code, Refusal
from domain.subjects import Subjects
from domain.witness import Witness
from handlers.bus import Address, Bus, close, connect
from handlers.journal.reader import Head, read

Hashed = AsyncGenerator[tuple[bytes, Frame[Fact]]]
"""Frames from the first on, each with its hash."""


async def certificate_of(address: Address, prefix: str, name: str) -> Checked | Refusal:
    """Replay the journal until `name` (`op5`, `mv3`) is over, and certify it.

    Raises `BusUnavailableError`, `JournalDamagedError`.
    """
    bus = await connect(address, name="restow op certificate")
    try:
        return await certified(_read(bus, Subjects(prefix)), name)
    finally:
        await close(bus)


async def _read(bus: Bus, subjects: Subjects) -> Hashed:
    async with aclosing(read(bus, subjects, Head())) as frames:
        async for head, frame in frames:
            yield head.hash, frame


async def certified(frames: Hashed, name: str) -> Checked | Refusal:
    """Certify `name` from the frames of a journal, which are closed."""
    certifier, witness = Certifier(), Witness()
    async with aclosing(frames):
        async for hash_, frame in frames:
            witness.see(frame, hash_)
            for one in certifier.take(frame, hash_):
                if one.subject == name:
                    wrong = witness.check(one)
                    return Checked(one, one.holds and not wrong, wrong)
    if certifier.is_open(name):
        return Refusal(
            Code.OPERATION_BUSY,
            f"{name} is not over, so there is nothing to certify; `restow op watch {name}` waits",
            "$.operation",
        )
    return Refusal(
        Code.OPERATION_NOT_FOUND,
        f"the journal knows no operation and no migration {name[:200]}; see `restow op list`",
        "$.operation",
    )
