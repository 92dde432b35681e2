"""Lines: what a reader is shown of hosts, layers, containers, operations, commands and events.

The JSON of every read is exactly these. Moments (`at`, `since`, `..._at`) are milliseconds since
1970 in UTC, 0 where it has not happened; a command may carry `version` as `expect_version`.
"""

from collections.abc import Mapping

import msgspec

from domain.container import Container, Placing
from domain.environment import Environment, Layer, layer_name
from domain.fleet import Fleet
from domain.host import Host
from domain.messages import Instant

NEVER = Instant(0)


class Line(msgspec.Struct, frozen=True, gc=False):
    """One row of a view, as it is read."""


class HostLine(Line, frozen=True, gc=False):
    """A host. `used` and `free` are cloudlets, disks are GiB; `leaving`, `arriving` migrations.

    `term` is how often it came back after it was lost; `heard_at` is when it last said that it is
    there, 0 where this reader has not heard it. `live`, `unable`: how it moves live, or why not.
    """

    id: str
    state: str
    zone: str
    labels: Mapping[str, str]
    cloudlets: int
    used: int
    free: int
    disk_gib: int
    used_disk: int
    free_disk: int
    containers: int
    leaving: int
    arriving: int
    load_mark: int | None
    note: str
    version: int
    term: int = 0
    heard_at: Instant = NEVER
    live: str = ""
    unable: str = ""


class EnvironmentLine(Line, frozen=True, gc=False):
    """An environment: `containers`, `operable` of all its layers, `network` is its own VNI."""

    id: str
    state: str
    domain: str
    tenant: str
    groups: Mapping[str, str]
    layers: tuple[str, ...]
    containers: int
    operable: int
    version: int
    network: int = 0


class LayerLine(Line, frozen=True, gc=False):
    """A layer. `dns` is the name its containers share; `reserved`, `limit` cloudlets of each."""

    environment: str
    name: str
    state: str
    dns: str
    role: str
    image: str
    count: int
    operable: int
    reserved: int
    limit: int
    disk_gib: int
    stateful: bool
    anti_affinity: str
    groups: tuple[str, ...]
    policy: str
    containers: tuple[str, ...]
    operation: str
    queue: tuple[str, ...]
    version: int
    application: str = ""
    on_lost: str = "fence"


class ContainerLine(Line, frozen=True, gc=False):
    """A container. `applied` are the cloudlets its host gave it; `claim` is who works on it now.

    `image` and `application` are what it was started from, "" where that is not known.

    `why` explains where it was put; it is there when one container is shown, not in lists.
    """

    id: str
    environment: str
    layer: str
    number: int
    host: str
    target: str
    state: str
    operable: bool
    running: bool
    healthy: bool
    routed: bool
    reserved: int
    allocated: int
    limit: int
    applied: int
    disk_gib: int
    name: str
    address: str
    claim: str
    migration: str
    restarts: int
    moves: int
    version: int
    why: Placing | None = None
    image: str = ""
    application: str = ""


class StepLine(Line, frozen=True, gc=False):
    """One step of an operation. `stage` began at `since`; `outcome` is "" until it is over.

    `stages` are all stages it went through and when each began.
    """

    container: str
    kind: str
    stage: str = ""
    since: Instant = NEVER
    outcome: str = ""
    detail: str = ""
    started_at: Instant = NEVER
    finished_at: Instant = NEVER
    stages: tuple[tuple[str, Instant], ...] = ()


class OperationLine(Line, frozen=True, gc=False):
    """An operation. `until` is when it goes on (or gives up waiting); counts are of steps.

    `outcome` is done, failed, cancelled or rolled_back, "" until it is over. `steps` are there
    when one operation is shown, not in lists.
    """

    id: str
    kind: str
    environment: str
    layer: str
    state: str
    outcome: str
    detail: str
    sequential: bool
    delay_ms: int
    accept_downtime: bool
    paused: bool
    cancelled: bool
    rolling_back: bool
    until: Instant
    todo: int
    done: int
    failed: int
    skipped: int
    requested_at: Instant
    started_at: Instant
    finished_at: Instant
    ask: str
    actor: str
    reason: str
    version: int
    steps: tuple[StepLine, ...] = ()


class PhaseLine(Line, frozen=True, gc=False):
    """A phase of a migration, `after_ms` after the source agent was granted it."""

    phase: str
    after_ms: int


class MigrationLine(Line, frozen=True, gc=False):
    """A migration. `freeze_ms` is the container's downtime, `total_ms` from granted to running."""

    id: str
    container: str
    source: str
    target: str
    state: str
    waits_for: str
    detail: str
    deadline_ms: int
    phases: tuple[PhaseLine, ...]
    freeze_ms: int
    total_ms: int
    requested_at: Instant
    granted_at: Instant
    finished_at: Instant
    ask: str
    actor: str
    reason: str
    version: int


class CommandLine(Line, frozen=True, gc=False):
    """A command and its one `answer`: accepted, done, unchanged or refused.

    `operations` carry it on; `code` and `detail` say why it was refused. `events` is how many it
    wrote, `position` that of the last event once it was answered.
    """

    id: str
    command: str
    actor: str
    tenant: str
    at: Instant
    answer: str
    code: str
    detail: str
    operations: tuple[str, ...]
    reason: str
    events: int
    position: int


class EventLine(Line, frozen=True, gc=False):
    """An event. `ask` is what led to it, with a suffix where a saga asked; `data` its fields."""

    position: int
    at: Instant
    stream: str
    version: int
    type: str
    data: msgspec.Raw
    ask: str
    actor: str


class EngineLine(Line, frozen=True, gc=False):
    """An engine that runs, as it says of itself. `role`: leader, standby or catching up.

    `durability` is strict or relaxed; if relaxed, `reasons` are the settings that make it so.
    `waiting` asks are to be decided; `turned_away` commands met a limit since it leads.
    """

    engine: str
    role: str
    epoch: int
    position: int
    durability: str = ""
    reasons: tuple[str, ...] = ()
    waiting: int = 0
    turned_away: int = 0


class StatusLine(Line, frozen=True, gc=False):
    """The region as a whole. `at` is when the last event happened.

    `durability` is what the leading engine says of the journal, "" where no engine answered.
    `storm` is why silent hosts are not taken for lost, "" if there is nothing of the kind; `silent`
    are those hosts.
    """

    position: int
    epoch: int
    at: Instant
    durability: str
    engines: tuple[EngineLine, ...]
    counts: Mapping[str, int]
    storm: str = ""
    silent: tuple[str, ...] = ()


def host_line(host: Host, version: int, heard_at: Instant = NEVER) -> HostLine:
    return HostLine(
        id=host.id,
        state=host.state.value,
        zone=host.zone,
        labels=host.labels,
        cloudlets=host.cloudlets,
        used=host.used,
        free=host.free,
        disk_gib=host.disk_gib,
        used_disk=host.used_disk,
        free_disk=host.free_disk,
        containers=host.containers,
        leaving=host.leaving,
        arriving=host.arriving,
        load_mark=host.load_mark,
        note=host.note,
        version=version,
        term=host.term,
        heard_at=heard_at,
        live=host.live,
        unable=host.unable,
    )


def environment_line(environment: Environment, fleet: Fleet, version: int) -> EnvironmentLine:
    layers = [fleet.layers[environment.id, name] for name in environment.layers]
    return EnvironmentLine(
        id=environment.id,
        state=environment.state.value,
        domain=environment.domain,
        tenant=environment.tenant,
        groups=environment.groups,
        layers=environment.layers,
        containers=sum(len(layer.containers) for layer in layers),
        operable=sum(count_operable(layer, fleet) for layer in layers),
        version=version,
        network=environment.network,
    )


def count_operable(layer: Layer, fleet: Fleet) -> int:
    return sum(fleet.containers[name].operable for name in layer.containers)


def layer_line(layer: Layer, fleet: Fleet, version: int) -> LayerLine:
    spec = layer.spec
    domain = fleet.environments[layer.environment].domain
    return LayerLine(
        environment=layer.environment,
        name=layer.name,
        state=standing(layer, fleet),
        dns=layer_name(layer.name, layer.environment, domain),
        role=spec.role,
        image=spec.image,
        count=len(layer.containers),
        operable=count_operable(layer, fleet),
        reserved=spec.reserved,
        limit=layer.limit,
        disk_gib=spec.disk_gib,
        stateful=spec.stateful,
        anti_affinity=spec.anti_affinity,
        groups=spec.groups,
        policy=spec.policy,
        containers=layer.containers,
        operation=layer.operation or "",
        queue=layer.queue,
        version=version,
        application=layer.software.label,
        on_lost=spec.on_lost,
    )


def standing(layer: Layer, fleet: Fleet) -> str:
    """Return how a layer stands: `active`, `leaving`, or `stopped` with its environment."""
    return "leaving" if layer.leaving else fleet.environments[layer.environment].state.value


def container_line(container: Container, version: int, why: Placing | None = None) -> ContainerLine:
    return ContainerLine(
        id=container.id,
        environment=container.environment,
        layer=container.layer,
        number=container.number,
        host=container.host,
        target=container.target or "",
        state=condition(container),
        operable=container.operable,
        running=container.running,
        healthy=container.healthy,
        routed=container.routed,
        reserved=container.reserved,
        allocated=container.allocated,
        limit=container.limit,
        applied=container.applied,
        disk_gib=container.disk_gib,
        name=container.name,
        address=container.address,
        claim=container.claim,
        migration=container.migration or "",
        restarts=container.restarts,
        moves=container.moves,
        version=version,
        why=why,
        image=container.software.image if container.software else "",
        application=container.software.label if container.software else "",
    )


def condition(container: Container) -> str:
    """Return in one word how a container is: the first thing that keeps it from serving."""
    if not container.running:
        return "stopped" if container.halted else "down"
    if container.target is not None:
        return "moving"
    if not container.healthy:
        return "unhealthy"
    if not container.routed:
        return "unrouted"
    return "claimed" if container.claim else "operable"
