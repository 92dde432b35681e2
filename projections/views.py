"""Every view by its name: what its lines are, what they are chosen and put in order by.

A view is told from the domain's own fold (`Reads`), so that what an event does stands in one
place. A new aggregate gets its view here, and in `projections.stale` which lines are to be told
anew when an entry of its table in the fleet changes.
"""

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, NewType, get_args

import msgspec
from msgspec.structs import replace

from domain.messages import ContainerId, Tenant, number_of
from domain.tenant import OTHERS
from projections.bounds import DeadLine, TenantLine, dead_line, tenant_line
from projections.evacuations import EvacuationLine, evacuation_line
from projections.growths import GrowthLine, growth_line
from projections.history import (
    AuditLine,
    OrderLine,
    PlacementLine,
    WatchLine,
    order_line,
    watch_line,
)
from projections.lines import (
    CommandLine,
    ContainerLine,
    EnvironmentLine,
    HostLine,
    LayerLine,
    Line,
    MigrationLine,
    OperationLine,
    container_line,
    environment_line,
    host_line,
    layer_line,
)
from projections.reads import Reads, command_key
from projections.rebalances import RebalanceLine, rebalance_line
from projections.recoveries import RecoveryLine, recovery_line
from projections.triggers import FiringLine, TriggerLine, trigger_line

Tell = Callable[[Reads, Any], Line | None]


class View(msgspec.Struct, frozen=True):
    """One view. `key` names a line; lines are in the order of their names, or of their numbers.

    A store has an index for each of `looked_up`; `latest_first`: lists begin with the newest.
    `tell` makes the line of a key as it is now, None where it is gone; a view without it has lines
    that are written once, when the event comes. `brief` is how a line stands in lists.
    """

    name: str
    plural: str
    line: type[Line]
    tell: Tell | None = None
    key: Callable[[Any], str] = attrgetter("id")
    number: Callable[[Any], int] | None = None
    latest_first: bool = False
    looked_up: tuple[tuple[str, ...], ...] = ()
    brief: Callable[[Any], Line] | None = None

    @property
    def is_log(self) -> bool:
        """Whether its lines are written once, and named by their number."""
        return self.key is place


PROSE = {"body", "cause", "detail", "note", "reason", "why"}
"""Members that are for people; lines cannot be chosen by them."""


@cache
def columns(view: View) -> Mapping[str, type[int] | type[str]]:
    """Return the members that lines can be chosen and put in order by: numbers and words."""
    fields = ((field.name, scalar(field.type)) for field in msgspec.structs.fields(view.line))
    return {name: kind for name, kind in fields if kind is not None and name not in PROSE}


def scalar(kind: Any) -> type[int] | type[str] | None:
    """Return int for numbers, moments and yes or no, str for words, None for all that has parts."""
    if isinstance(kind, NewType):
        return scalar(kind.__supertype__)
    if isinstance(kind, UnionType):
        return next(scalar(one) for one in get_args(kind) if one is not NoneType)
    return int if kind in {int, bool} else str if kind is str else None


def tell_host(reads: Reads, name: Any) -> HostLine | None:
    found = reads.fleet.hosts.get(name)
    return None if found is None else host_line(found, reads.version("host", name))


def tell_environment(reads: Reads, name: Any) -> EnvironmentLine | None:
    found = reads.fleet.environments.get(name)
    version = reads.version("environment", name)
    return None if found is None else environment_line(found, reads.fleet, version)


def tell_layer(reads: Reads, key: Any) -> LayerLine | None:
    found = reads.fleet.layers.get(key)
    return (
        None
        if found is None
        else layer_line(found, reads.fleet, reads.version("environment", key[0]))
    )


def tell_container(reads: Reads, name: Any) -> ContainerLine | None:
    found = reads.fleet.containers.get(name)
    version = reads.version("container", name)
    return (
        None if found is None else container_line(found, version, reads.why_of(ContainerId(name)))
    )


def tell_operation(reads: Reads, name: Any) -> OperationLine | None:
    return reads.operations.get(name)


def tell_migration(reads: Reads, name: Any) -> MigrationLine | None:
    return reads.migrations.get(name)


def tell_evacuation(reads: Reads, name: Any) -> EvacuationLine | None:
    story = reads.evacuations.get(name)
    return None if story is None else evacuation_line(story)


def tell_recovery(reads: Reads, name: Any) -> RecoveryLine | None:
    story = reads.recoveries.get(name)
    return None if story is None else recovery_line(story)


def tell_growth(reads: Reads, name: Any) -> GrowthLine | None:
    found = reads.fleet.growths.get(name)
    return None if found is None else growth_line(found, reads.version("growth", name))


def tell_rebalance(reads: Reads, name: Any) -> RebalanceLine | None:
    found = reads.fleet.rebalances.get(name)
    return None if found is None else rebalance_line(found, reads.version("rebalance", name))


def tell_trigger(reads: Reads, name: Any) -> TriggerLine | None:
    found = reads.fleet.triggers.get(name)
    return None if found is None else trigger_line(found, reads.version("trigger", name))


def tell_firing(reads: Reads, name: Any) -> FiringLine | None:
    return reads.firings.get(name)


def tell_watch(reads: Reads, name: Any) -> WatchLine | None:
    found = reads.fleet.vigil.get(name)
    return None if found is None else watch_line(name, found, reads.version("watch", name))


def tell_tenant(reads: Reads, name: Any) -> TenantLine | None:
    known = name in reads.fleet.limits or name == OTHERS
    version = reads.version("tenant", name)
    return tenant_line(Tenant(name), reads.fleet.limits, version) if known else None


def tell_dead(reads: Reads, name: Any) -> DeadLine | None:
    found = reads.fleet.dead.get(name)
    return None if found is None else dead_line(found, reads.version("dead", name), body=True)


def tell_order(reads: Reads, name: Any) -> OrderLine | None:
    found = reads.fleet.orders.get(name)
    return None if found is None else order_line(found)


def layer_name(line: LayerLine) -> str:
    return f"{line.environment}/{line.name}"


def without_why(line: ContainerLine) -> Line:
    return replace(line, why=None)


def without_steps(line: OperationLine) -> Line:
    return replace(line, steps=())


def without_containers(line: EvacuationLine | RebalanceLine | RecoveryLine) -> Line:
    return replace(line, containers=())


def without_body(line: DeadLine) -> Line:
    return replace(line, body="")


def of_id(line: Any) -> int:
    return number_of(line.id)


def of_position(line: AuditLine | PlacementLine | FiringLine) -> int:
    return line.position


def place(line: AuditLine | PlacementLine) -> str:
    return str(line.position)


ALL: tuple[View, ...] = (
    View(
        "host",
        "hosts",
        HostLine,
        tell_host,
    ),
    View(
        "environment",
        "environments",
        EnvironmentLine,
        tell_environment,
    ),
    View(
        "layer",
        "layers",
        LayerLine,
        tell_layer,
        layer_name,
    ),
    View(
        "container",
        "containers",
        ContainerLine,
        tell_container,
        number=of_id,
        brief=without_why,
        looked_up=(("environment", "layer"), ("host",)),
    ),
    View(
        "operation",
        "operations",
        OperationLine,
        tell_operation,
        number=of_id,
        latest_first=True,
        brief=without_steps,
        looked_up=(("environment", "layer"), ("state",)),
    ),
    View(
        "migration",
        "migrations",
        MigrationLine,
        tell_migration,
        number=of_id,
        latest_first=True,
        looked_up=(("container",), ("state",)),
    ),
    View(
        "evacuation",
        "evacuations",
        EvacuationLine,
        tell_evacuation,
        number=of_id,
        latest_first=True,
        brief=without_containers,
    ),
    View(
        "rebalance",
        "rebalances",
        RebalanceLine,
        tell_rebalance,
        number=of_id,
        latest_first=True,
        brief=without_containers,
    ),
    View(
        "recovery",
        "recoveries",
        RecoveryLine,
        tell_recovery,
        number=of_id,
        latest_first=True,
        brief=without_containers,
    ),
    View(
        "growth",
        "growths",
        GrowthLine,
        tell_growth,
        number=of_id,
        latest_first=True,
        looked_up=(("container",), ("state",)),
    ),
    View(
        "trigger",
        "triggers",
        TriggerLine,
        tell_trigger,
        number=of_id,
        looked_up=(("environment", "layer"),),
    ),
    View(
        "firing",
        "firings",
        FiringLine,
        tell_firing,
        number=of_position,
        latest_first=True,
        looked_up=(("trigger",), ("environment", "layer")),
    ),
    View("watch", "watches", WatchLine, tell_watch),
    View(
        "order",
        "orders",
        OrderLine,
        tell_order,
        number=of_id,
    ),
    View(
        "tenant",
        "tenants",
        TenantLine,
        tell_tenant,
    ),
    View(
        "dead",
        "dead",
        DeadLine,
        tell_dead,
        number=of_id,
        brief=without_body,
    ),
    View(
        "placement",
        "placements",
        PlacementLine,
        key=place,
        number=of_position,
        latest_first=True,
        looked_up=(("container",),),
    ),
    View(
        "command",
        "commands",
        CommandLine,
        key=command_key,
        number=of_position,
        latest_first=True,
    ),
    View(
        "event",
        "events",
        AuditLine,
        key=place,
        number=of_position,
        latest_first=True,
        looked_up=(("stream",), ("story",)),
    ),
)
VIEWS: Mapping[str, View] = {view.name: view for view in ALL}
