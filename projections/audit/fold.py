"""What a stream says of its aggregate, folded from that stream alone.

Hosts and environments are folded by the domain itself, without what other streams say of them:
how much of a host is promised is written to its containers' streams, which containers a layer has
to theirs. Containers, operations and migrations cannot be folded by the domain alone, for their
events change other aggregates too; of them the fields last written are shown. Where a container
moved to is then not among them: its migration's stream says so. `Audit.exact` folds everything.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from domain.chronicle import evolve
from domain.facts import tag
from domain.fleet import Fleet
from domain.messages import EnvironmentId, Event, HostId, Instant
from projections.aggregates import spelled
from projections.audit.mapper import Entry

FoldedBy = Literal["domain", "fields"]

FOLDED_BY_DOMAIN = frozenset({"host", "environment"})
OF_OTHER_STREAMS = {
    "host": ("used", "used_disk", "containers", "leaving", "arriving"),
    "layer": ("containers", "next", "operation", "queue"),
}
OVER = frozenset({"removed", "answered"})
"""Events of which nothing more is to be shown: `container.removed`, `order.answered`."""
State = dict[str, Any]


class Known(msgspec.Struct, frozen=True):
    """What is known of an aggregate after `version` events. The library calls it an aggregate.

    `state` is None once the aggregate is gone.
    """

    id: str
    version: int
    position: int
    at: Instant
    tag: str
    folded_by: FoldedBy
    state: State | None


Projector = Callable[[Known | None, Iterable[Entry]], Known | None]
"""Folds a stream from its beginning; the library's name. There are no snapshots to go on from."""


def projector(stream: str) -> Projector:
    """Return what folds a stream of this name."""
    noun = stream.partition(".")[0]
    return by_domain if noun in FOLDED_BY_DOMAIN else by_fields


def by_domain(_: Known | None, entries: Iterable[Entry]) -> Known | None:
    fleet = Fleet()
    last: Entry | None = None
    for last in entries:
        evolve(fleet, last.fact, last.at)
    return None if last is None else known(last, "domain", alone(fleet, last.originator_id))


def by_fields(_: Known | None, entries: Iterable[Entry]) -> Known | None:
    state: State | None = None
    last: Entry | None = None
    for last in entries:
        state = fields(last.originator_id.partition(".")[0], state or {}, last.fact)
    return None if last is None else known(last, "fields", state)


def known(last: Entry, folded_by: FoldedBy, state: State | None) -> Known:
    return Known(
        last.originator_id,
        last.originator_version,
        last.position,
        last.at,
        tag(last.fact),
        folded_by,
        state,
    )


def alone(fleet: Fleet, stream: str) -> State | None:
    """Return what a host's or an environment's own stream says of it; None if it is gone."""
    noun, _, name = stream.partition(".")
    if noun == "host":
        return _own("host", fleet.hosts.get(HostId(name)))
    state = _own("environment", fleet.environments.get(EnvironmentId(name)))
    if state is not None:
        state["layers"] = {
            layer: _own("layer", value) for (_, layer), value in fleet.layers.items()
        }
    return state


def _own(noun: str, aggregate: msgspec.Struct | None) -> State | None:
    if aggregate is None:
        return None
    state = spelled(aggregate)
    return {k: v for k, v in state.items() if k not in OF_OTHER_STREAMS.get(noun, ())}


def fields(noun: str, state: State, fact: Event) -> State | None:
    """Return the fields last written, after one more event of a stream of this noun.

    An event about something else than the stream's own noun goes under that thing's id, such as
    `orders: {or5: …}` of a container. None if the aggregate is gone.
    """
    about, _, what = tag(fact).partition(".")
    said: State = {k: v for k, v in msgspec.to_builtins(fact).items() if k != "t"}
    if about == noun:
        return None if what in OVER else state | said
    name = str(said.pop(about, what))
    others = {k: v for k, v in state.get(f"{about}s", {}).items() if k != name}
    if what not in OVER:
        others[name] = state.get(f"{about}s", {}).get(name, {}) | said
    return state | {f"{about}s": others}
