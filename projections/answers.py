"""The answer to each question: lines in their order, one line, or why there is none."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import dropwhile, islice

import msgspec

from domain.facts import FACTS, tag
from domain.feasibility import any_one_may_die, can_leave
from domain.messages import (
    Code,
    ContainerId,
    DeadId,
    EnvironmentId,
    HostId,
    LayerName,
    Refusal,
    Tenant,
    TriggerId,
    number_of,
)
from domain.tenant import OTHERS
from projections import questions as q
from projections.bounds import DeadLine, TenantLine, dead_line, tenant_line
from projections.evacuations import (
    EvacuationLine,
    FeasibilityLine,
    evacuation_line,
    feasibility_line,
)
from projections.lines import (
    CommandLine,
    ContainerLine,
    EngineLine,
    EnvironmentLine,
    EventLine,
    HostLine,
    LayerLine,
    MigrationLine,
    OperationLine,
    StatusLine,
    container_line,
    environment_line,
    host_line,
    layer_line,
)
from projections.reads import Reads, command_key, event_line
from projections.recoveries import RecoveryLine, recovery_line
from projections.triggers import FiringLine, TriggerLine, trigger_line

NEAR_MAX = 3
"""So many ids are offered instead of one that is not known."""
NEAR_POOL = 5_000
"""So many ids are looked at for near ones."""
LEADER = "leader"
"""The role of the engine that writes."""
TAGS = tuple(tag(fact) for fact in FACTS)


def hosts(reads: Reads, ask: q.HostList) -> Iterator[HostLine]:
    for name, host in sorted(reads.fleet.hosts.items()):
        if name > ask.after and ask.zone in (None, host.zone) and ask.state in (None, host.state):
            yield host_line(host, reads.version("host", name), reads.heard_at(name))


def host(reads: Reads, ask: q.HostShow) -> HostLine | Refusal:
    found = reads.fleet.hosts.get(HostId(ask.host))
    if found is None:
        return unknown("host", ask.host, reads.fleet.hosts)
    return host_line(found, reads.version("host", found.id), reads.heard_at(found.id))


def environments(reads: Reads, ask: q.EnvironmentList) -> Iterator[EnvironmentLine]:
    for name, found in sorted(reads.fleet.environments.items()):
        if name > ask.after:
            yield environment_line(found, reads.fleet, reads.version("environment", name))


def environment(reads: Reads, ask: q.EnvironmentShow) -> EnvironmentLine | Refusal:
    found = reads.fleet.environments.get(EnvironmentId(ask.environment))
    if found is None:
        return unknown("environment", ask.environment, reads.fleet.environments)
    return environment_line(found, reads.fleet, reads.version("environment", found.id))


def layers(reads: Reads, ask: q.LayerList) -> Iterator[LayerLine] | Refusal:
    if missing := _missing(reads, ask.environment, None):
        return missing
    return (
        layer_line(found, reads.fleet, reads.version("environment", found.environment))
        for (environment, name), found in sorted(reads.fleet.layers.items())
        if ask.environment in (None, environment) and f"{environment}/{name}" > ask.after
    )


def layer(reads: Reads, ask: q.LayerShow) -> LayerLine | Refusal:
    if missing := _missing(reads, ask.environment, ask.layer):
        return missing
    found = reads.fleet.layers[EnvironmentId(ask.environment), LayerName(ask.layer)]
    return layer_line(found, reads.fleet, reads.version("environment", found.environment))


def containers(reads: Reads, ask: q.ContainerList) -> Iterator[ContainerLine] | Refusal:
    if missing := _missing(reads, ask.environment, ask.layer):
        return missing
    first = number_of(ask.after) if ask.after else 0
    return (
        container_line(found, reads.version("container", found.id))
        for found in reads.fleet.containers.values()
        if ask.environment in (None, found.environment)
        and ask.layer in (None, found.layer)
        and ask.host in (None, found.host)
        and ask.operable in (None, found.operable)
        and number_of(found.id) > first
    )


def container(reads: Reads, ask: q.ContainerShow) -> ContainerLine | Refusal:
    found = reads.fleet.containers.get(ContainerId(ask.container))
    if found is None:
        return unknown("container", ask.container, reads.fleet.containers)
    version = reads.version("container", found.id)
    return container_line(found, version, reads.why_of(found.id))


def operations(reads: Reads, ask: q.OperationList) -> Iterator[OperationLine]:
    for line in reversed(reads.operations.values()):
        if (
            ask.environment in (None, line.environment)
            and ask.layer in (None, line.layer)
            and ask.kind in (None, line.kind)
            and ask.state in (None, line.state)
            and is_older(line.id, ask.after)
        ):
            yield msgspec.structs.replace(line, steps=())


def operation(reads: Reads, ask: q.OperationShow) -> OperationLine | Refusal:
    found = reads.operations.get(ask.operation)
    return found or unknown("operation", ask.operation, reversed(reads.operations))


def migrations(reads: Reads, ask: q.MigrationList) -> Iterator[MigrationLine]:
    for line in reversed(reads.migrations.values()):
        if (
            ask.container in (None, line.container)
            and ask.host in (None, line.source, line.target)
            and ask.state in (None, line.state)
            and is_older(line.id, ask.after)
        ):
            yield line


def migration(reads: Reads, ask: q.MigrationShow) -> MigrationLine | Refusal:
    found = reads.migrations.get(ask.migration)
    return found or unknown("migration", ask.migration, reversed(reads.migrations))


def evacuations(reads: Reads, ask: q.EvacuationList) -> Iterator[EvacuationLine]:
    for story in reversed(reads.evacuations.values()):
        one = story.evacuation
        if (
            ask.host in (None, one.host)
            and ask.state in (None, one.state)
            and is_older(one.id, ask.after)
        ):
            yield evacuation_line(story, whole=False)


def evacuation(reads: Reads, ask: q.EvacuationShow) -> EvacuationLine | Refusal:
    found = reads.evacuations.get(ask.evacuation)
    if found is None:
        return unknown("evacuation", ask.evacuation, reversed(reads.evacuations))
    return evacuation_line(found)


def recoveries(reads: Reads, ask: q.RecoveryList) -> Iterator[RecoveryLine]:
    for story in reversed(reads.recoveries.values()):
        one = story.recovery
        if ask.host in (None, one.host) and is_older(one.id, ask.after):
            yield recovery_line(story, whole=False)


def recovery(reads: Reads, ask: q.RecoveryShow) -> RecoveryLine | Refusal:
    found = reads.recoveries.get(ask.recovery)
    if found is None:
        return unknown("recovery", ask.recovery, reversed(reads.recoveries))
    return recovery_line(found)


def feasibility(reads: Reads, ask: q.HostFeasibility) -> Iterator[FeasibilityLine] | Refusal:
    for name in (*ask.targets, *((ask.host,) if ask.host else ())):
        if HostId(name) not in reads.fleet.hosts:
            return unknown("host", name, reads.fleet.hosts)
    if ask.host is None:
        every = any_one_may_die(reads.fleet, ask.after, reads.occupancy())
        return (feasibility_line(verdict, reads.fleet) for verdict in every)
    targets = tuple(HostId(name) for name in ask.targets)
    verdict = can_leave(reads.fleet, HostId(ask.host), targets, reads.occupancy())
    return iter((feasibility_line(verdict, reads.fleet),))


def commands(reads: Reads, ask: q.CommandList) -> Iterator[CommandLine]:
    lines: Iterable[CommandLine] = reversed(reads.commands.values())
    if ask.after:
        lines = islice(dropwhile(lambda line: command_key(line) != ask.after, lines), 1, None)
    for line in lines:
        if (
            ask.command in (None, line.command)
            and ask.actor in (None, line.actor)
            and ask.tenant in (None, line.tenant)
            and ask.answer in (None, line.answer)
        ):
            yield line


def command(reads: Reads, ask: q.CommandShow) -> CommandLine | Refusal:
    found = reads.commands.get(f"{ask.tenant}/{ask.id}")
    if found is not None:
        return found
    whose = f" of tenant {ask.tenant}" if ask.tenant else ""
    kept = len(reads.commands)
    detail = f"there is no command{whose} with id {ask.id!r} among the latest {kept:,}"
    return Refusal(Code.COMMAND_NOT_FOUND, detail, "$.id", {"kept": kept})


def events(reads: Reads, ask: q.EventList) -> Iterator[EventLine] | Refusal:
    if ask.type is not None and ask.type not in TAGS:
        offer, near = did_you_mean(ask.type, TAGS)
        detail = f"there is no event of type {ask.type!r}{offer}"
        return Refusal(Code.REQUEST_INVALID, detail, "$.type", {"near": near})
    kept = reads.events_latest_first() if ask.after is None else reads.events_after(ask.after)
    return (
        event_line(at)
        for at in kept
        if ask.stream in (None, at.event.stream)
        and ask.ask in (None, at.commit.ask)
        and ask.type in (None, tag(at.event.fact))
    )


def triggers(reads: Reads, ask: q.TriggerList) -> Iterator[TriggerLine]:
    after = number_of(ask.after) if ask.after else 0
    for name, found in sorted(reads.fleet.triggers.items(), key=lambda one: number_of(one[0])):
        wanted = ask.environment in (None, found.environment) and ask.layer in (None, found.layer)
        if wanted and number_of(name) > after:
            yield trigger_line(found, reads.version("trigger", name))


def trigger(reads: Reads, ask: q.TriggerShow) -> TriggerLine | Refusal:
    found = reads.fleet.triggers.get(TriggerId(ask.trigger))
    if found is None:
        return unknown("trigger", ask.trigger, reads.fleet.triggers)
    return trigger_line(found, reads.version("trigger", found.id))


def firings(reads: Reads, ask: q.TriggerHistory) -> Iterator[FiringLine]:
    for line in reversed(reads.firings.values()):
        if (
            ask.trigger in (None, line.trigger)
            and ask.environment in (None, line.environment)
            and ask.layer in (None, line.layer)
            and (ask.after is None or line.position < ask.after)
        ):
            yield line


def tenants(reads: Reads, ask: q.TenantList) -> Iterator[TenantLine]:
    book = reads.fleet.limits
    for name in sorted({OTHERS, *book}):
        if name > ask.after:
            yield tenant_line(name, book, reads.version("tenant", name))


def tenant(reads: Reads, ask: q.TenantShow) -> TenantLine:
    """Return the limits that hold for a tenant; every name may be that of one."""
    version = reads.version("tenant", ask.tenant)
    return tenant_line(Tenant(ask.tenant), reads.fleet.limits, version)


def letters(reads: Reads, ask: q.DeadList) -> Iterator[DeadLine]:
    after = number_of(ask.after) if ask.after else 0
    for name, found in sorted(reads.fleet.dead.items(), key=lambda one: number_of(one[0])):
        theirs = ask.tenant in (None, found.tenant) and ask.command in (None, found.command)
        if theirs and number_of(name) > after:
            yield dead_line(found, reads.version("dead", name), body=False)


def letter(reads: Reads, ask: q.DeadShow) -> DeadLine | Refusal:
    found = reads.fleet.dead.get(DeadId(ask.dead))
    if found is None:
        return unknown("dead", ask.dead, reads.fleet.dead)
    return dead_line(found, reads.version("dead", found.id), body=True)


def status(reads: Reads, _ask: q.Status, engines: tuple[EngineLine, ...] = ()) -> StatusLine:
    """Return the status of the region; `engines` are those that said they are there."""
    leader = next((engine for engine in engines if engine.role == LEADER), None)
    return StatusLine(
        position=reads.position,
        epoch=reads.epoch,
        at=reads.at,
        durability=leader.durability if leader else "",
        engines=engines,
        counts=reads.totals(),
        storm=reads.fleet.storm.why if reads.fleet.storm else "",
        silent=reads.fleet.storm.silent if reads.fleet.storm else (),
    )


def is_older(name: str, than: str | None) -> bool:
    """Say whether something comes behind `than` in a list that begins with the newest."""
    return than is None or number_of(name) < number_of(than)


def unknown(noun: str, name: str, known: Iterable[str], path: str = "") -> Refusal:
    """Say that there is no such thing, and what is named nearly so."""
    offer, near = did_you_mean(name, known)
    code = Code(f"{noun}.not_found")
    what = "dead letter" if noun == "dead" else noun
    return Refusal(code, f"there is no {what} {name!r}{offer}", path or f"$.{noun}", {"near": near})


def did_you_mean(name: str, known: Iterable[str]) -> tuple[str, list[str]]:
    near = get_close_matches(name, islice(known, NEAR_POOL), n=NEAR_MAX)
    return (f"; did you mean {' or '.join(near)}?" if near else "", near)


def _missing(reads: Reads, environment: str | None, layer: str | None) -> Refusal | None:
    """Return why there is no such environment, or no such layer in it."""
    if environment is None:
        if layer is None:
            return None
        detail = f"layer {layer} of which environment?"
        return Refusal(Code.REQUEST_INVALID, detail, "$.environment")
    found = reads.fleet.environments.get(EnvironmentId(environment))
    if found is None:
        return unknown("environment", environment, reads.fleet.environments)
    if layer is None or layer in found.layers:
        return None
    return unknown("layer", layer, found.layers)
