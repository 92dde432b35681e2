"""Decisions to scale: one container up or down, a layer's limits, a layer out or in, a restart.

Scaling one container is immediate and charges its host in the same commit; what goes through a
layer becomes an operation.
"""

from msgspec.structs import replace

from domain.availability import would_break
from domain.container import (
    CapacityForced,
    Container,
    ContainerScaled,
    GrowthDeferred,
    PlaceContainer,
    ReconcileSize,
)
from domain.decider import NOTHING, Decision, Outcome
from domain.environment import Layer, LayerLimitsSet
from domain.fleet import Fleet
from domain.layers import find_layer, find_started, standstill, stopped
from domain.messages import COUNT_MAX, Accepted, Code, Command, ContainerId, Event, Instant, Refusal
from domain.operation import (
    BeginOperation,
    LayerCommand,
    Operation,
    Planned,
    RestartLayer,
    ScaleLayer,
    SequencedCommand,
    SetCloudletLimits,
    Settings,
    StepKind,
)
from domain.orders import ORDER_LIFE_MS, OrderIssued, Resize, next_order
from domain.tenancy import missing


def find_container(fleet: Fleet, name: str) -> Container | Refusal:
    """Return a container by its id."""
    container = fleet.containers.get(ContainerId(name))
    if container is None:
        return missing("container", name)
    return container


def limits(
    now: tuple[int, int], reserved: int | None, limit: int | None
) -> tuple[int, int] | Refusal:
    """Return the new (reserved, limit) that a command means, given those of `now`."""
    if reserved is None and limit is None:
        return Refusal(
            Code.REQUEST_INVALID, "give reserved, limit or both, in cloudlets", "$.reserved"
        )
    least = now[0] if reserved is None else reserved
    most = max(now[1], least) if limit is None else limit
    if most < least:
        return Refusal(
            Code.LIMITS_OUT_OF_RANGE,
            f"limit must be {least} (reserved) or more, got {most}",
            "$.limit",
            {"reserved": least, "limit": most},
        )
    return least, most


def scaled(container: Container, wanted: tuple[int, int]) -> ContainerScaled:
    """Return the fact of other limits.

    What had not grown by itself beyond its reserve follows the reserve; what had keeps what it
    holds, as far as the new limits allow.
    """
    reserved, limit = wanted
    grown = container.allocated > container.reserved
    allocated = min(max(container.allocated, reserved), limit) if grown else reserved
    return ContainerScaled(container.id, reserved, limit, allocated)


def grow(fleet: Fleet, container: Container, fact: ContainerScaled) -> Outcome:
    """Charge the growth to the host, and to the target where it moves.

    What fits the source but not the target is not lost: the migration is called off (by the
    saga that hears `GrowthDeferred`) and the container grows when it has stopped moving.
    """
    more = fact.allocated - container.allocated
    host = fleet.hosts[container.host]
    if more > max(host.free, 0):
        return Refusal(
            Code.CAPACITY_INSUFFICIENT,
            f"host {host.id} has {host.free} cloudlets free, {container.id} needs {more} more;"
            " let others make room (make_room=true), or scale it less",
            "$.reserved",
            {"free": host.free, "needed": more},
        )
    if container.target is not None and more > max(fleet.hosts[container.target].free, 0):
        return Decision((GrowthDeferred(container.id, fact.reserved, fact.limit),))
    return Decision((fact,))


def forced(
    fleet: Fleet, container: Container, wanted: tuple[int, int], reason: str
) -> tuple[Event, ...]:
    """Record by how much each host is overloaded on purpose."""
    more = scaled(container, wanted).allocated - container.allocated
    homes = (container.host, *((container.target,) if container.target else ()))
    return tuple(
        CapacityForced(home, container.id, more - fleet.hosts[home].free, reason)
        for home in homes
        if more > fleet.hosts[home].free
    )


def reconcile_size(fleet: Fleet, ask: ReconcileSize, now: Instant) -> Outcome:
    """Order the host to give the container its size, unless it has it or was ordered to."""
    container = fleet.containers.get(ask.container)
    if container is None or not container.running or container.resizing is not None:
        return NOTHING
    if container.sized:
        return NOTHING
    return Decision((resize_order(fleet, container, now),))


def resize_order(fleet: Fleet, container: Container, now: Instant, saga: str = "") -> OrderIssued:
    """Return the order that brings the host's view of a container's size up to date."""
    return OrderIssued(
        next_order(fleet.next_number("order")),
        container.host,
        container.id,
        Resize(container.allocated, container.limit),
        saga,
        Instant(now + ORDER_LIFE_MS),
    )


def settings_of(ask: SequencedCommand) -> Settings:
    sequential = ask.mode == "sequential"
    return Settings(
        sequential=sequential,
        delay_ms=ask.delay_s * 1_000,
        on_failure=ask.on_failure,
        ask=ask.ask,
        accept_downtime=ask.accept_downtime or not sequential,
        remove_from_dns=ask.remove_from_dns and sequential,
    )


def begin(ask: LayerCommand, kind: str, plan: tuple[Planned, ...], how: Settings) -> BeginOperation:
    return BeginOperation(
        kind=kind,
        environment=ask.environment,
        layer=ask.layer,
        plan=plan,
        settings=how,
        queue=ask.queue,
    )


def sequenced(fleet: Fleet, layer: Layer, ask: SequencedCommand, meant: BeginOperation) -> Outcome:
    """Begin the operation, with a surge container around its steps where one is asked for."""
    if ask.surge and stopped(fleet, layer):
        return standstill(layer.environment)
    alone = len(layer.containers) == 1
    intrusive = meant.kind != "limits" or ask.remove_from_dns
    if alone and intrusive and not ask.surge and not meant.settings.accept_downtime:
        return would_break(layer, meant.kind)
    if not ask.surge:
        return Decision(then=(meant,))
    extra = ContainerId(f"node{fleet.next_number('node')}")
    plan = (
        Planned(extra, StepKind.START, surge=True),
        *meant.plan,
        Planned(extra, StepKind.REMOVE, surge=True),
    )
    placing = PlaceContainer(environment=ask.environment, layer=ask.layer)
    how = replace(meant.settings, sequential=True)
    return Decision(then=(placing, replace(meant, plan=plan, settings=how)))


def restart_layer(fleet: Fleet, ask: RestartLayer) -> Outcome:
    """Restart every container of the layer, in ascending number."""
    layer = find_started(fleet, ask.environment, ask.layer)
    if isinstance(layer, Refusal):
        return layer
    if ask.on_failure == "rollback":
        return Refusal(
            Code.REQUEST_INVALID,
            "a restart has nothing to roll back to; on_failure must be stop or continue",
            "$.on_failure",
        )
    steps = tuple(Planned(name, StepKind.RESTART) for name in layer.containers)
    return sequenced(fleet, layer, ask, begin(ask, "restart", steps, settings_of(ask)))


def set_limits(fleet: Fleet, ask: SetCloudletLimits) -> Outcome:
    """Give every container of the layer other limits, and those that will be added too."""
    layer = find_layer(fleet, ask.environment, ask.layer)
    if isinstance(layer, Refusal):
        return layer
    wanted = limits((layer.spec.reserved, layer.limit), ask.reserved, ask.limit)
    if isinstance(wanted, Refusal):
        return wanted
    members = [fleet.containers[name] for name in layer.containers]
    moving = any(operation.kind == "limits" for operation in at_work(fleet, layer))
    others = [c for c in members if moving or (c.reserved, c.limit) != wanted]
    before = (layer.spec.reserved, layer.limit)
    if wanted == before and not others:
        return NOTHING
    steps = tuple(Planned(c.id, StepKind.RESIZE, *wanted) for c in others)
    facts = () if wanted == before else (LayerLimitsSet(layer.environment, layer.name, *wanted),)
    meant = replace(begin(ask, "limits", steps, settings_of(ask)), before=before)
    outcome = sequenced(fleet, layer, ask, meant)
    return outcome if isinstance(outcome, Refusal) else replace(outcome, facts=facts)


def scale_layer(fleet: Fleet, ask: ScaleLayer) -> Outcome:
    """Add or take away containers until the layer has as many as asked."""
    layer = find_layer(fleet, ask.environment, ask.layer)
    if isinstance(layer, Refusal):
        return layer
    if (ask.count is None) == (ask.by is None):
        return Refusal(Code.REQUEST_INVALID, "give count or by, and only one of them", "$.count")
    here = staying(fleet, layer)
    count = ask.count if ask.count is not None else len(here) + (ask.by or 0)
    if not 1 <= count <= COUNT_MAX:
        return Refusal(
            Code.LIMITS_OUT_OF_RANGE,
            f"layer {layer.environment}/{layer.name} would have {count} containers;"
            f" it can have 1..{COUNT_MAX}",
            "$.by",
            {"minimum": 1, "maximum": COUNT_MAX, "containers": len(here)},
        )
    more = count - len(here)
    if more == 0:
        return NOTHING
    undone = undone_by(fleet, layer, count)
    if undone is not None:
        return undone
    return scale_out(fleet, layer, ask, more) if more > 0 else scale_in(fleet, ask, here, -more)


def undone_by(fleet: Fleet, layer: Layer, count: int) -> Refusal | None:
    """Refuse a count that a trigger of the layer, being switched on, would undo."""
    for trigger in (fleet.triggers[name] for name in layer.triggers):
        least, most = trigger.rule.min_count, trigger.rule.max_count
        if trigger.enabled and not least <= count <= most:
            return Refusal(
                Code.LIMITS_OUT_OF_RANGE,
                f"layer {layer.environment}/{layer.name} would have {count} containers, and trigger"
                f" {trigger.id} keeps {least}..{most} of them; set other bounds, or switch it off"
                f" (restow trigger disable {trigger.id})",
                "$.count",
                {"trigger": str(trigger.id), "min_count": least, "max_count": most},
            )
    return None


def staying(fleet: Fleet, layer: Layer) -> list[ContainerId]:
    """Return the containers that no operation under way or queued will take away."""
    leaving = planned_to_leave(fleet, layer)
    return [name for name in layer.containers if name not in leaving]


def planned_to_leave(fleet: Fleet, layer: Layer) -> set[ContainerId]:
    """Return the containers that operations under way or queued will take away."""
    operations = at_work(fleet, layer)
    plans = [p for o in operations for p in (*o.todo, *(s.planned for s in o.steps))]
    return {p.container for p in plans if p.kind is StepKind.REMOVE}


def at_work(fleet: Fleet, layer: Layer) -> list[Operation]:
    """Return the operations of a layer that are not over: the one under way, those queued."""
    names = (*((layer.operation,) if layer.operation else ()), *layer.queue)
    return [fleet.operations[name] for name in names]


def scale_out(fleet: Fleet, layer: Layer, ask: ScaleLayer, more: int) -> Outcome:
    """Place all the new containers now, or refuse; an operation starts them.

    In a stopped environment they are placed, and start with it.
    """
    first = fleet.next_number("node")
    names = tuple(ContainerId(f"node{number}") for number in range(first, first + more))
    plan = tuple(Planned(name, StepKind.START) for name in names)
    how = Settings(sequential=False, accept_downtime=True, on_failure="continue")
    placing: Command = PlaceContainer(environment=ask.environment, layer=ask.layer)
    placings = tuple(placing for _ in names)
    if stopped(fleet, layer):
        told = (f"environment {layer.environment} is stopped; they start with it",)
        return Decision(then=placings, answer=Accepted(containers=names, notices=told))
    then = (*placings, begin(ask, "scale-out", plan, how))
    return Decision(then=then, answer=Accepted(containers=names))


def scale_in(fleet: Fleet, ask: ScaleLayer, here: list[ContainerId], fewer: int) -> Outcome:
    """Take containers away one by one, never the first one while others remain."""
    victims = choose_victims(fleet, here, fewer, ask.victim)
    plan = tuple(Planned(name, StepKind.REMOVE) for name in victims)
    how = Settings(
        sequential=True,
        accept_downtime=ask.accept_downtime,
        remove_from_dns=ask.remove_from_dns,
    )
    answer = Accepted(containers=victims)
    return Decision(then=(begin(ask, "scale-in", plan, how),), answer=answer)


def choose_victims(
    fleet: Fleet, here: list[ContainerId], fewer: int, how: str
) -> tuple[ContainerId, ...]:
    """Return whom to take away: the newest first, or who evens the spread over hosts and zones."""
    left = [fleet.containers[name] for name in here]
    victims: list[ContainerId] = []
    for _ in range(fewer):
        others = left[1:]
        victim = others[-1] if how == "newest" else max(others, key=lambda c: crowd(fleet, left, c))
        left.remove(victim)
        victims.append(victim.id)
    return tuple(victims)


def crowd(fleet: Fleet, members: list[Container], one: Container) -> tuple[int, int, int]:
    """Return how crowded a container's host and zone are with its layer; the newest at a tie."""
    zone = fleet.hosts[one.host].zone
    on_host = sum(c.host == one.host for c in members)
    in_zone = sum(fleet.hosts[c.host].zone == zone for c in members)
    return (on_host, in_zone, one.number)
