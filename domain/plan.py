"""A plan: what a command would do, told before it is done, and bound to a position.

The facts are what would be written at once. The forecast is the whole story that follows, played
out as if every host did its part in the usual time. The name of a plan has the position it was
made at and a hash of both; a command that names it (`expect_plan`) does the same or is refused.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Literal, cast

import msgspec
from msgspec.structs import replace

from domain.messages import ContainerId, Event, HostId, PublicCommand

COMMAND_BYTES = 4
"""Bytes of a plan's hash that tell the command; the others tell what it would do."""
STORY_BYTES = 12
PASSING = frozenset({"until", "expires", "why", "address", "freeze_ms", "total_ms", "waits_for"})
"""What of a fact is another one at another moment though it means the same: times, explanations
of placement, addresses made of numbers."""
BIRTHS = frozenset({"requested", "placed", "issued"})
"""How facts are called that give something a number of its own."""

Source = Literal["setting", "rule", "measured", "default"]
MoveKind = Literal["placed", "moved", "removed"]

_canonical = msgspec.msgpack.Encoder(order="deterministic")
_json = msgspec.json.Encoder(order="deterministic")
_ID = re.compile(r"\b[a-z]+[1-9][0-9]*\b")


class PlannedStep(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing that would be done to one container: a step of an operation, a move, an order.

    `at_ms` counts from the moment the command is taken. `orders` are the orders it takes, in
    order, each with its addressee: `restart h01`.
    """

    container: ContainerId
    kind: str
    at_ms: int
    for_ms: int
    outcome: str
    saga: str = ""
    orders: tuple[str, ...] = ()
    detail: str = ""


class Move(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A container that comes, goes, or goes elsewhere; `freeze_ms` is its downtime if it moves."""

    container: ContainerId
    kind: MoveKind
    at_ms: int
    source: HostId | None = None
    target: HostId | None = None
    freeze_ms: int = 0


class HostChange(msgspec.Struct, frozen=True, gc=False):
    """A host that would promise more or less, or another number of containers, than now."""

    host: HostId
    cloudlets: int
    before: int
    after: int
    containers_before: int
    containers_after: int
    disk_before: int
    disk_after: int


class DnsWindow(msgspec.Struct, frozen=True, gc=False):
    """How long the records of a container would be away; `for_ms` is None where for good."""

    container: ContainerId
    names: tuple[str, ...]
    at_ms: int
    for_ms: int | None


class TimePart(msgspec.Struct, frozen=True, gc=False):
    """What the estimated time is made of. The parts do not overlap; their sum is the whole.

    `source`: a setting of the command, a rule of Restow, measured here, or a default.
    """

    what: str
    ms: int
    times: int
    source: Source


class Ending(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How something that the command begins would end, or what it is waiting for at the end."""

    saga: str
    outcome: str
    detail: str = ""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The story that follows, if every host does its part in the usual time.

    `whole` is false where it was too long to be played out to its end, or waits for something
    that only others can bring.
    """

    duration_ms: int
    whole: bool
    endings: tuple[Ending, ...]
    time: tuple[TimePart, ...]
    steps: tuple[PlannedStep, ...]
    moves: tuple[Move, ...]
    hosts: tuple[HostChange, ...]
    dns: tuple[DnsWindow, ...]


class Plan(msgspec.Struct, frozen=True):
    """What a dry run tells. `command` is what has to be sent to have exactly this done."""

    name: str
    facts: tuple[Event, ...]
    forecast: Forecast
    command: PublicCommand


class Bond(msgspec.Struct, frozen=True):
    """What the name of a plan says: the position, the command, and what it would do."""

    position: int
    command: str
    story: str

    @property
    def name(self) -> str:
        return f"{self.position}-{self.command}{self.story}"


def bond_of(name: str) -> Bond:
    """Read the name of a plan."""
    position, _, both = name.partition("-")
    return Bond(int(position), both[: 2 * COMMAND_BYTES], both[2 * COMMAND_BYTES :])


def bind(
    position: int, command: PublicCommand, facts: tuple[Event, ...], story: tuple[Event, ...]
) -> Bond:
    """Return what a plan made at `position` is called by.

    `story` are all facts of its sagas, beginning with the `facts` that are written at once.
    """
    body = _canonical.encode(plain(command))
    said = blake2b(body, digest_size=STORY_BYTES, salt=position.to_bytes(16))
    said.update(len(facts).to_bytes(8))
    for line in alike(story):
        said.update(line)
    told = blake2b(body, digest_size=COMMAND_BYTES).hexdigest()
    return Bond(position, told, said.hexdigest())


def plain(command: PublicCommand) -> PublicCommand:
    """Return a command without what does not change what it does."""
    return replace(
        command, id=None, expect_version=None, dry_run=False, expires_at=None, expect_plan=None
    )


def alike(story: tuple[Event, ...]) -> Iterable[bytes]:
    """Give facts as bytes that are the same wherever the same is done, if later or numbered on.

    What is new is named by its kind and how many of them came before: `op+1`, `node+2`.
    """
    names = newborn(story)

    def named(found: re.Match[str]) -> str:
        return names.get(found[0], found[0])

    for fact in story:
        yield _ID.sub(named, _json.encode(lasting(msgspec.to_builtins(fact))).decode()).encode()


def newborn(story: Iterable[Event]) -> Mapping[str, str]:
    """Return the ids that are new in a story, each with a name that does not depend on when."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for fact in story:
        noun, _, verb = str(fact.__struct_config__.tag).partition(".")
        if verb in BIRTHS:
            counts[noun] = counts.get(noun, 0) + 1
            names[getattr(fact, noun)] = f"{noun}+{counts[noun]}"
    return names


def lasting(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a fact that say what is done, and not when or why just so."""
    return {
        name: lasting(cast("Mapping[str, Any]", value)) if isinstance(value, dict) else value
        for name, value in fields.items()
        if name not in PASSING
    }
