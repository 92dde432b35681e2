"""Events of the journal as flat records, for tools that know nothing of Restow."""

from collections.abc import Iterator

import msgspec

from domain.decider import Commit
from domain.facts import Fact, tag
from domain.messages import Instant
from projections.cloudevents import data


class Record(msgspec.Struct, frozen=True):
    """One event, and the ask that led to it. `data` is its fields as JSON, times are in ms."""

    position: int
    at: Instant
    stream: str
    version: int
    type: str
    data: str
    ask: str
    command: str
    actor: str
    tenant: str
    cause: str
    reason: str


def records(position: int, commit: Commit[Fact]) -> Iterator[Record]:
    """Return the events of a commit whose last one is at `position`."""
    first = position - len(commit.events) + 1
    for number, event in enumerate(commit.events):
        yield Record(
            position=first + number,
            at=commit.at,
            stream=event.stream,
            version=event.version,
            type=tag(event.fact),
            data=msgspec.json.encode(data(event.fact)).decode(),
            ask=commit.ask + event.asked,
            command=commit.command,
            actor=commit.actor,
            tenant=commit.tenant,
            cause=commit.cause,
            reason=commit.reason,
        )
