"""Orders to agents and to the router, and the reports that answer them.

An order is a fact of the journal (`OrderIssued`) until its report arrives (`OrderAnswered`), so a
crash of the engine forgets none: what is outstanding is sent again. Every order is answered once;
its id makes carrying it out idempotent. Orders carry the epoch of the engine that sent them and a
deadline after which an agent must not begin.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.ability import Live
from domain.messages import (
    ROUTING,
    AskId,
    Command,
    ContainerId,
    Event,
    HostId,
    Instant,
    Integer,
    MigrationId,
    OrderId,
)
from domain.software import Application

ROUTER = HostId(ROUTING)
"""The addressee of orders to DNS and balancer."""

ASK_MAX = 200
"""Characters of a report's identity."""
ORDER_LIFE_MS = 120_000
DETAIL_MAX = 1_000
"""Characters of what an agent says of an order that are kept."""


class Work(msgspec.Struct, frozen=True, gc=False, tag_field="work", omit_defaults=True):
    """What an agent is to do with one container."""


class Start(Work, frozen=True, gc=False, tag="start"):
    """Create the container and start it. `cloudlets` is its allocation now, `limit` the most.

    `keep`: it runs on when its host is cut off, and is fenced otherwise. `network` is the number
    of its environment's.
    """

    name: str
    image: str
    cloudlets: int
    limit: int
    disk_gib: int
    address: str
    variables: Mapping[str, str] = {}
    volumes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    application: Application | None = None
    keep: bool = False
    network: int = 0


class Stop(Work, frozen=True, gc=False, tag="stop"):
    """Stop the container and remove it from the host."""


class Restart(Work, frozen=True, gc=False, tag="restart"):
    """Stop and start the container's process; on failure the old one is left or put back."""


class Redeploy(Work, frozen=True, gc=False, tag="redeploy"):
    """Put another container in its place, from `image` and with `application`.

    Volumes, variables, size, name and address are kept; on failure the old one is left or put back.
    """

    image: str
    application: Application | None = None


class Halt(Work, frozen=True, gc=False, tag="halt"):
    """Stop the container's process, and keep all that belongs to the container on its host."""


class Resize(Work, frozen=True, gc=False, tag="resize"):
    """Give the running container another allocation, without a restart."""

    cloudlets: int
    limit: int


class MigrateOut(Work, frozen=True, gc=False, tag="migrate"):
    """Move the container to `target`, live, within `deadline_ms` or leave it running here.

    The source agent drives the hand-over host to host and measures on its own monotonic clock.
    """

    migration: MigrationId
    target: HostId
    deadline_ms: int
    cloudlets: int
    limit: int
    disk_gib: int


class CallOff(Work, frozen=True, gc=False, tag="call-off"):
    """Forbid the hand-over of a migration unless it has happened, and say where things stand.

    `lost`: this host of the two is. The target is told where it is the source: what was not handed
    over never will be. The source is told where it is the target: what was handed over is lost.
    """

    migration: MigrationId
    lost: HostId | None = None


class RouteIn(Work, frozen=True, gc=False, tag="route-in"):
    """Put the container's records into DNS and its server into the balancer.

    `names` are its own and then its layer's. The balancer leads to its `ports`; `stateful` says
    that what it serves are connections that somebody may hold on to, not requests. It is reached
    over its environment's `network`.
    """

    names: tuple[str, ...]
    address: str
    ports: tuple[int, ...] = ()
    stateful: bool = False
    network: int = 0


class RouteOut(Work, frozen=True, gc=False, tag="route-out"):
    """Take the container's records out of DNS, drain its server, and confirm both.

    `keep_last`: nothing is taken out where the layer's name would be left without a record.
    """

    names: tuple[str, ...]
    address: str
    ports: tuple[int, ...] = ()
    stateful: bool = False
    keep_last: bool = False


AnyWork = (
    Start | Stop | Restart | Redeploy | Halt | Resize | MigrateOut | CallOff | RouteIn | RouteOut
)


class OrderIssued(Event, frozen=True, gc=False, tag="order.issued"):
    """An agent is to do something. `after`: it is not sent earlier, so that it is not too eager."""

    order: OrderId
    to: HostId
    container: ContainerId
    work: AnyWork
    saga: str = ""
    expires: Instant = Instant(0)
    after: Instant = Instant(0)


class OrderAnswered(Event, frozen=True, gc=False, tag="order.answered"):
    """The agent's one answer, or ours where we gave it up. `detail` says why it is not done."""

    order: OrderId
    container: ContainerId
    done: bool
    detail: str = ""
    saga: str = ""


class Order(msgspec.Struct, frozen=True, gc=False):
    """An outstanding order, as the engine sends it on `<p>.ord.<to>`."""

    id: OrderId
    to: HostId
    container: ContainerId
    work: AnyWork
    saga: str = ""
    expires: Instant = Instant(0)
    epoch: int = 0
    term: int = 0


class Report(Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent saw; arrives as an ask on `<p>.rep.<host>`. `ask` is its identity.

    Agents send a report again until it is acknowledged; the identity makes that harmless.
    """

    ask: Annotated[AskId, Meta(max_length=ASK_MAX)]
    host: HostId


class ReportOrder(Report, frozen=True, kw_only=True, tag="agent.order"):
    """An order's outcome. `running`: whether the container's process runs here afterwards.

    `cut`: how many sessions did not end by themselves while it was taken out of the balancer.
    """

    order: OrderId
    done: bool
    detail: str = ""
    running: bool = True
    located: HostId | None = None
    freeze_ms: Integer = 0
    total_ms: Integer = 0
    cut: Integer = 0


class ReportHealth(Report, frozen=True, kw_only=True, tag="agent.health"):
    """A container became healthy or unhealthy (edges only, not every probe)."""

    container: ContainerId
    healthy: bool
    running: bool = True


class ReportPhase(Report, frozen=True, kw_only=True, tag="agent.phase"):
    """A migration reached a phase, `after_ms` after it was granted to the source agent."""

    migration: MigrationId
    phase: Annotated[str, Meta(pattern=r"^(checked|copying|frozen|resumed|reachable)\Z")]
    after_ms: Integer


class ReportAbility(Report, frozen=True, kw_only=True, tag="agent.ability"):
    """How the host moves containers live, as was tried when its agent began; `why` not."""

    live: Live
    why: str = ""


AnyReport = ReportOrder | ReportHealth | ReportPhase | ReportAbility


def next_order(number: int) -> OrderId:
    """Return the id of the order with this number in its region: `or17`."""
    return OrderId(f"or{number}")
