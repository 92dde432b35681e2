"""Public events: every fact of the journal as one CloudEvents 1.0 message in structured JSON.

What stands here is a promise to strangers: names and meanings stay, new fields may come. Who
reads an event twice can tell by its `id`, and by `position` what came first.
"""

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, Raw, UnsetType

from domain.facts import tag
from domain.messages import Event, Instant
from domain.subjects import Subjects
from projections.feed import Placed

CONTENT_TYPE = "application/cloudevents+json"
NO_DATA = Raw(b"{}")

_encoder = msgspec.json.Encoder()


class CloudEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One public event; the attributes are those of CloudEvents, then come its extensions.

    `aggversion` is the aggregate's version after it, `causationid` the ask that led to it,
    `correlationid` the operation or migration that it is part of, or what the ask was caused by.
    `dataomitted` is there only where the bus could not carry the data: its size in bytes.
    """

    specversion: str = "1.0"
    id: str
    type: str
    source: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    dataschema: str
    aggversion: int
    position: int
    causationid: str
    correlationid: str
    actor: str
    data: Raw
    dataomitted: int | UnsetType = UNSET


class PublicEvent(msgspec.Struct, frozen=True, gc=False):
    """A public event ready to be published: `body` on `subject`, known as `id`."""

    position: int
    id: str
    subject: str
    body: bytes


def public_event(subjects: Subjects, placed: Placed, body_max: int) -> PublicEvent:
    """Return the message for one event; a body beyond `body_max` bytes is cut to its envelope."""
    event = cloud_event(subjects.prefix, placed)
    noun, _, name = placed.event.stream.partition(".")
    body = _encoder.encode(event)
    if len(body) > body_max:
        size = len(memoryview(event.data))
        body = _encoder.encode(msgspec.structs.replace(event, data=NO_DATA, dataomitted=size))
    return PublicEvent(placed.position, event.id, subjects.event(noun, name), body)


def cloud_event(prefix: str, placed: Placed) -> CloudEvent:
    """Return one event as the CloudEvent of region `prefix`."""
    commit, event = placed.commit, placed.event
    name = tag(event.fact)
    return CloudEvent(
        id=f"{prefix}.{placed.position}",
        type=f"io.restow.{name}.v1",
        source=f"/restow/{prefix}",
        subject=event.stream.replace(".", "/", 1),
        time=timestamp(commit.at),
        dataschema=f"restow:schema/{name}/1",
        aggversion=event.version,
        position=placed.position,
        causationid=commit.ask + event.asked,
        correlationid=story(event.fact) or commit.cause or commit.ask,
        actor=commit.actor,
        data=data(event.fact),
    )


def timestamp(at: Instant) -> str:
    """Return a moment as RFC 3339 in UTC, to the millisecond: `2026-11-21T08:30:05.816Z`."""
    seconds, ms = divmod(at, 1_000)  # in whole numbers: a float would lose a millisecond
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


SAGAS = ("evacuation", "rebalance", "growth", "operation", "migration", "recovery", "saga")
"""Members by which facts name the saga that they are part of."""


def story(fact: Event) -> str:
    """Return the saga that a fact names, "" where it names none."""
    for field in SAGAS:
        name = getattr(fact, field, "")
        if name:
            return str(name)
    return ""


def data(fact: Event) -> Raw:
    """Return a fact as a JSON object, without its tag."""
    tagged = _encoder.encode(fact)
    head = len(b'{"t":""') + len(tag(fact))  # msgspec writes the tag first
    return Raw(b"{" + tagged[head:].removeprefix(b","))
