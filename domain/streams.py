"""Which stream an event belongs to, and which one a command names.

A stream is the history of one aggregate: `<noun>.<id>`. Its length is the aggregate's version.
"""

from domain.container import CapacityForced, ContainerEvent
from domain.dead import DeadEvent
from domain.environment import EnvironmentEvent
from domain.evacuation import EvacuationEvent
from domain.facts import members
from domain.growth import GrowthEvent
from domain.host import HostEvent
from domain.loss import LossEvent
from domain.messages import Command, Event
from domain.migration import MigrationEvent
from domain.operation import OperationEvent
from domain.orders import OrderAnswered, OrderIssued
from domain.rebalance import RebalanceEvent
from domain.recovery import ContainerReplaced, RecoveryEvent
from domain.tenant import TenantEvent
from domain.trigger import TriggerEvent

NOUNS = (
    "trigger",
    "evacuation",
    "rebalance",
    "operation",
    "migration",
    "recovery",
    "growth",
    "container",
    "host",
    "environment",
    "watch",
    "tenant",
    "dead",
)
"""A command that names several things is about the first of these that it names."""

_NOUN_OF: dict[type[Event], str] = {
    **dict.fromkeys(members(HostEvent), "host"),
    **dict.fromkeys(members(EnvironmentEvent), "environment"),
    **dict.fromkeys(members(ContainerEvent), "container"),
    **dict.fromkeys(members(OperationEvent), "operation"),
    **dict.fromkeys(members(MigrationEvent), "migration"),
    **dict.fromkeys(members(TenantEvent), "tenant"),
    **dict.fromkeys(members(DeadEvent), "dead"),
    **dict.fromkeys(members(EvacuationEvent), "evacuation"),
    **dict.fromkeys(members(GrowthEvent), "growth"),
    **dict.fromkeys(members(TriggerEvent), "trigger"),
    **dict.fromkeys(members(RebalanceEvent), "rebalance"),
    OrderIssued: "container",
    OrderAnswered: "container",
    CapacityForced: "host",
    **dict.fromkeys(members(LossEvent), "watch"),
    **dict.fromkeys(members(RecoveryEvent), "recovery"),
    ContainerReplaced: "container",
}


def noun_of(shape: type[Event]) -> str:
    """Return the noun of the streams that hold events of this kind, e.g. `container`."""
    return _NOUN_OF[shape]


def stream_of(event: Event) -> str:
    """Return the stream an event is written to, e.g. `container.node17`."""
    noun = _NOUN_OF[type(event)]
    return f"{noun}.{getattr(event, noun)}"


def stream_named(command: Command) -> str:
    """Return the stream a command is about, "" if it names none."""
    for noun in NOUNS:
        name = getattr(command, noun, None)
        if name is not None:
            return f"{noun}.{name}"
    return ""
