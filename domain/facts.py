"""Every event of Restow, in one list: what may stand in the journal."""

from types import UnionType
from typing import Any, get_args

from domain.container import ContainerEvent
from domain.dead import DeadEvent
from domain.environment import EnvironmentEvent
from domain.evacuation import EvacuationEvent
from domain.growth import GrowthEvent
from domain.host import HostEvent
from domain.loss import LossEvent
from domain.messages import Event
from domain.migration import MigrationEvent
from domain.operation import OperationEvent
from domain.orders import OrderAnswered, OrderIssued
from domain.rebalance import RebalanceEvent
from domain.recovery import ContainerReplaced, RecoveryEvent
from domain.tenant import TenantEvent
from domain.trigger import TriggerEvent

OrderEvent = OrderIssued | OrderAnswered
Fact = (
    HostEvent
    | EnvironmentEvent
    | ContainerEvent
    | OperationEvent
    | MigrationEvent
    | EvacuationEvent
    | OrderEvent
    | TenantEvent
    | DeadEvent
    | LossEvent
    | RecoveryEvent
    | ContainerReplaced
    | GrowthEvent
    | TriggerEvent
    | RebalanceEvent
)


def members(union: UnionType) -> tuple[type[Any], ...]:
    """Return the classes of a union, in the order they are written."""
    return get_args(union)


FACTS: tuple[type[Event], ...] = members(Fact)


def tag(event: type[Event] | Event) -> str:
    """Return the name of an event in storage and on the bus, e.g. `host.registered`."""
    return str(event.__struct_config__.tag)
