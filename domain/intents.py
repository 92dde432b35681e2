"""What people intend with the fleet: the part of each aggregate that nothing but a command sets.

Whether a container runs, is healthy, or how much it holds at the moment is no intent. That an
aggregate is there at all is one, called `there`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from domain.container import Container
from domain.environment import Environment, EnvironmentState, Layer
from domain.fleet import Fleet
from domain.host import Host, HostState
from domain.nouns import TABLES
from domain.tenant import Limits
from domain.trigger import Trigger

THERE = "there"
NOUNS = ("host", "environment", "layer", "container", "trigger", "tenant")
"""The kinds of aggregates that people intend something with."""

Intents = Mapping[str, Any]
"""What is intended with one aggregate, by the name of the member."""


class Intent(msgspec.Struct, frozen=True):
    """One member of one aggregate: `count` of the layer `shop/app`."""

    noun: str
    name: str
    member: str

    @property
    def whose(self) -> str:
        """How its aggregate is called: `layer.shop/app`."""
        return f"{self.noun}.{self.name}"


def intents(one: Any) -> Intents:
    """Return what is intended with an aggregate; nothing of one that is not there, or is to go."""
    match one:
        case Host():
            return of_host(one)
        case Environment(state=state) if state is not EnvironmentState.LEAVING:
            return {THERE: one, "running": state is not EnvironmentState.STOPPED}
        case Layer(leaving=False):
            return of_layer(one)
        case Container():
            return {THERE: one, "size": (one.reserved, one.limit), "host": one.host}
        case Trigger():
            return {THERE: one, "rule": one.rule, "enabled": one.enabled}
        case Limits():
            return {THERE: one, "limits": one}
        case _:
            return {}


def of_host(host: Host) -> Intents:
    """A lost host takes nothing, which nobody intends: what counts is what it will do when back."""
    is_open = not host.cordoned if host.lost else host.state is HostState.ACTIVE
    return {THERE: host, "labels": host.labels, "load_mark": host.load_mark, "open": is_open}


def of_layer(layer: Layer) -> Intents:
    spec = layer.spec
    return {
        THERE: layer,
        "policy": spec.policy,
        "variables": spec.variables,
        "ports": spec.ports,
        "on_lost": spec.on_lost,
        "limits": (spec.reserved, layer.limit),
        "software": layer.software,
        "count": len(layer.containers),
    }


def name_of(noun: str, key: Any, one: Any) -> str:
    """Return the name that stays with an aggregate: a trigger that is set anew has another id."""
    if isinstance(one, Trigger):
        return f"{one.environment}/{one.layer} {one.rule.resource}"
    return "/".join(key) if noun == "layer" else str(key)


def find(fleet: Fleet, noun: str, name: str) -> Any:
    """Return an aggregate by the name that stays with it, None if it is not there."""
    if noun == "trigger":
        every = (one for one in fleet.triggers.values() if name_of(noun, one.id, one) == name)
        return next(every, None)
    table: dict[Any, Any] = getattr(fleet, TABLES[noun])
    environment, _, layer = name.partition("/")
    return table.get((environment, layer) if noun == "layer" else name)


def changed(before: Intents, after: Intents) -> Iterator[str]:
    """Return the members that are not the same; only `there` of what came or went."""
    if (THERE in before) != (THERE in after):
        yield THERE
        return
    for member in before.keys() & after.keys():
        if member != THERE and before[member] != after[member]:
            yield member


def same(member: str, one: Any, other: Any) -> bool:
    """Say whether an intent is the same at two moments."""
    return (one is None) == (other is None) if member == THERE else bool(one == other)
