"""One isolated instance: where it runs, what it holds, whether it can serve.

`reserved` cloudlets are always its own, `limit` is how far it may grow, and what it holds at the
moment is `allocated`; reserved <= allocated <= limit. A container is *operable* when it runs, is
healthy, can be found (DNS, balancer) and no intrusive work or live migration has claimed it.
"""

from collections.abc import Mapping

import msgspec

from domain.messages import (
    Command,
    ContainerId,
    EnvironmentId,
    EnvironmentName,
    Event,
    HostId,
    Instant,
    LayerLabel,
    LayerName,
    MigrationId,
    OrderId,
)
from domain.software import Software


class PlaceContainer(Command, frozen=True, kw_only=True, tag="container.place"):
    """Choose a host for one more container of a layer, and promise it the room. Internal."""

    environment: EnvironmentName
    layer: LayerLabel


class ReconcileSize(Command, frozen=True, kw_only=True, tag="container.reconcile"):
    """Order the host to give a container what it is allocated, if it has not. Internal."""

    container: ContainerId


class GrowDeferred(Command, frozen=True, kw_only=True, tag="container.grow-deferred"):
    """Try again what did not fit while the container moved. Internal."""

    container: ContainerId


USAGE = "usage"
"""Why a container was scaled that holds more or less because it uses more or less."""


class Placing(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a container was put where it is: the stored explanation of one placement.

    `objections` counts hosts by the first reason against them; `score` is the winner's, smaller
    is better, and `losers` are the best of those that fitted too, best first.
    """

    policy: str
    hosts: int
    feasible: int
    objections: Mapping[str, int] = {}
    score: tuple[int, ...] = ()
    losers: tuple[tuple[HostId, tuple[int, ...]], ...] = ()


class ContainerPlaced(Event, frozen=True, gc=False, tag="container.placed"):
    container: ContainerId
    environment: EnvironmentId
    layer: LayerName
    number: int
    host: HostId
    reserved: int
    limit: int
    disk_gib: int
    name: str
    address: str
    why: Placing


class ContainerStarted(Event, frozen=True, gc=False, tag="container.started"):
    """It runs. `software` is what it was started from, None where only that it runs was seen."""

    container: ContainerId
    software: Software | None = None


class ContainerRestarted(Event, frozen=True, gc=False, tag="container.restarted"):
    container: ContainerId


class ContainerRedeployed(Event, frozen=True, gc=False, tag="container.redeployed"):
    """Another one is in its place, of this software; all that is its own was kept."""

    container: ContainerId
    software: Software


class ContainerHalted(Event, frozen=True, gc=False, tag="container.halted"):
    """It does not run any more, as was asked; it keeps its host and all that it holds."""

    container: ContainerId


class ContainerStopped(Event, frozen=True, gc=False, tag="container.stopped"):
    """It does not run any more, though nobody asked it to stop."""

    container: ContainerId
    detail: str = ""


class ContainerHealthChanged(Event, frozen=True, gc=False, tag="container.health-changed"):
    container: ContainerId
    healthy: bool


class ContainerRouted(Event, frozen=True, gc=False, tag="container.routed"):
    """DNS and balancer confirmed that they name it."""

    container: ContainerId


class ContainerUnrouted(Event, frozen=True, gc=False, tag="container.unrouted"):
    """DNS and balancer confirmed that they do not name it any more; `cut` sessions were ended."""

    container: ContainerId
    cut: int = 0
    keeps: bool = False


class ContainerScaled(Event, frozen=True, gc=False, tag="container.scaled"):
    """What it is allocated is another size, and perhaps its limits; its host is to follow.

    `why` is "usage" where nobody asked: it uses more or less than before.
    """

    container: ContainerId
    reserved: int
    limit: int
    allocated: int
    why: str = ""


class GrowthDeferred(Event, frozen=True, gc=False, tag="container.growth-deferred"):
    """It moves, and its growth does not fit the target: it grows when the migration has ended."""

    container: ContainerId
    reserved: int
    limit: int


class GrowthRefused(Event, frozen=True, gc=False, tag="container.growth-refused"):
    """What was deferred does not fit where the container is now."""

    container: ContainerId
    detail: str


class CapacityForced(Event, frozen=True, gc=False, tag="host.capacity-forced"):
    """Someone put `cloudlets` more on a host than it has, on purpose, and said why.

    0 where it has the room, but is not to take anything.
    """

    host: HostId
    container: ContainerId
    cloudlets: int
    reason: str


class ContainerResized(Event, frozen=True, gc=False, tag="container.resized"):
    """Its host gave it what it was allocated, and the limit up to which it may grow."""

    container: ContainerId
    cloudlets: int
    limit: int


class ContainerRemoved(Event, frozen=True, gc=False, tag="container.removed"):
    container: ContainerId


ContainerEvent = (
    ContainerPlaced
    | ContainerStarted
    | ContainerRestarted
    | ContainerRedeployed
    | ContainerHalted
    | ContainerStopped
    | ContainerHealthChanged
    | ContainerRouted
    | ContainerUnrouted
    | ContainerScaled
    | ContainerResized
    | ContainerRemoved
    | GrowthDeferred
    | GrowthRefused
    | CapacityForced
)


class Container(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What must be remembered of a container.

    `host` is where it runs, `target` where it is moving to (both are charged); `claim` is the
    operation or migration that may make it inoperable now; `applied` and `applied_limit` are what
    its host gave it; `resizing` is the outstanding order to give it another size, `deferred` the
    limits it is to have when it has stopped moving; `introduced` says that it was in DNS (since it
    was last halted), and `dns_order` is the number of the last order that put it there or took it
    out; `start_order` that of the last order to start it, first or anew, that was given, and
    `work_order` that of the last one to start or halt it that was carried out. `unrouted_at` is
    when it was confirmed that it is out of DNS, `unrouting` the order to take it out of which
    nobody knows yet whether it was carried out; `cut` is how many sessions the last removal from
    the balancer ended. `software` is what it was last started from; `halted`: it stands still
    because its environment was stopped; `recovered` are the last times it was restarted because
    its host was lost. `keeps`: it was started so that it runs on where its host is cut off,
    whatever its layer says by now.
    """

    id: ContainerId
    environment: EnvironmentId
    layer: LayerName
    number: int
    host: HostId
    reserved: int
    limit: int
    allocated: int
    disk_gib: int
    name: str
    address: str
    applied: int = 0
    target: HostId | None = None
    migration: MigrationId | None = None
    claim: str = ""
    resizing: OrderId | None = None
    deferred: tuple[int, int] | None = None
    running: bool = False
    healthy: bool = False
    routed: bool = False
    restarts: int = 0
    moves: int = 0
    introduced: bool = False
    applied_limit: int = 0
    software: Software | None = None
    halted: bool = False
    dns_order: int = 0
    recovered: tuple[Instant, ...] = ()
    start_order: int = 0
    work_order: int = 0
    unrouted_at: Instant = Instant(0)
    unrouting: OrderId | None = None
    cut: int = 0
    keeps: bool = False

    @property
    def unborn(self) -> bool:
        """Whether it has never run, and is not to wait for its environment to start."""
        return not (self.running or self.halted or self.introduced or self.software)

    @property
    def sized(self) -> bool:
        """Its host gave it all that it is to have."""
        return (self.applied, self.applied_limit) == (self.allocated, self.limit)

    @property
    def serving(self) -> bool:
        """Runs, is healthy and can be found."""
        return self.running and self.healthy and self.findable

    @property
    def findable(self) -> bool:
        """It is in DNS, and no order that may have taken it out is unanswered."""
        return self.routed and self.unrouting is None

    @property
    def operable(self) -> bool:
        return self.serving and not self.claim
