"""How a fact of the journal becomes a stored event of the library, and is read again.

The topic is the fact's tag, never a path of Python; the state is msgpack: an envelope that says
who, when and why, and the fact as it stands in the journal. Facts of old shapes become today's as
they are read.
"""

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent
from typing_extensions import override

from domain.facts import Fact, tag
from domain.messages import Instant
from domain.wire import decode_fact, encode_fact


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A fact, its place, and what it came from. The library calls it a domain event.

    `ask` is the ask that was decided, with the asks of sagas that followed behind it (`…/0`).
    """

    originator_id: str
    originator_version: int
    position: int
    at: Instant
    ask: str
    actor: str
    cause: str
    command: str
    tenant: str
    reason: str
    fact: Fact


class _State(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What is kept of an entry beside its stream, version and tag. New fields go last."""

    position: int
    at: Instant
    ask: str
    actor: str
    cause: str
    command: str
    tenant: str
    reason: str
    fact: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_State)


class FactMapper(Mapper[str]):
    """The seam between Restow's facts and the library."""

    @override
    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        if not isinstance(domain_event, Entry):
            raise TypeError(domain_event)
        return stored(domain_event)

    @override
    def to_domain_event(self, stored_event: StoredEvent) -> Entry:
        state = _decoder.decode(stored_event.state)
        return Entry(
            str(stored_event.originator_id),
            stored_event.originator_version,
            state.position,
            state.at,
            state.ask,
            state.actor,
            state.cause,
            state.command,
            state.tenant,
            state.reason,
            decode_fact(bytes(state.fact)),
        )


def stored(entry: Entry) -> StoredEvent:
    """Return an entry as the library stores it."""
    state = _State(
        entry.position,
        entry.at,
        entry.ask,
        entry.actor,
        entry.cause,
        entry.command,
        entry.tenant,
        entry.reason,
        msgspec.Raw(encode_fact(entry.fact)),
    )
    return StoredEvent(
        entry.originator_id, entry.originator_version, tag(entry.fact), _encoder.encode(state)
    )
