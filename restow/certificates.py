"""The certificate of one operation or migration, made from the journal and checked by a witness."""

from contextlib import aclosing

import msgspec

from domain.certificate import Certificate
from domain.certifier import Certifier
from domain.messages import Code, Refusal
from domain.subjects import Subjects
from domain.witness import Witness
from handlers.bus import Address, Bus, close, connect
from handlers.journal.reader import Head, read


class Checked(msgspec.Struct, frozen=True):
    """A certificate, what the witness found wrong with it, and whether it is right and holds."""

    certificate: Certificate
    holds: bool
    wrong: tuple[str, ...] = ()


async def certificate_of(address: Address, prefix: str, name: str) -> Checked | Refusal:
    """Replay the journal until `name` (`op5`, `mv3`) is over, and certify it.

    Raises `BusUnavailableError`, `JournalDamagedError`.
    """
    bus = await connect(address, name="restow op certificate")
    try:
        return await _certified(bus, Subjects(prefix), name)
    finally:
        await close(bus)


async def _certified(bus: Bus, subjects: Subjects, name: str) -> Checked | Refusal:
    certifier, witness = Certifier(), Witness()
    async with aclosing(read(bus, subjects, Head())) as frames:
        async for head, frame in frames:
            witness.see(frame, head.hash)
            for one in certifier.take(frame, head.hash):
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
        f"the journal knows no operation and no migration {name}; see `restow op list`",
        "$.operation",
    )
