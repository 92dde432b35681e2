"""The saga of a growth that does not fit: plan the cheaper way, move one by one, grow.

Before every move it is looked whether there is room already. A move that was reverted, or a plan
that the fleet has overtaken, leads to another plan, `PLANS_MAX` of them at most. Each move is a
migration like any other: it waits for its caps, for claims and for never zero.
"""

from msgspec.structs import replace

from domain.container import USAGE, Container, ContainerScaled, GrowDeferred, GrowthRefused
from domain.decider import NOTHING, Decision, Outcome
from domain.fleet import Fleet
from domain.ground import Cost, Moves, Need, NoRoom
from domain.growth import (
    GROWTH_MAX_MS,
    PLANS_MAX,
    AdvanceGrowth,
    Aim,
    CancelGrowth,
    Growth,
    GrowthMoveBegun,
    GrowthPlanned,
    GrowthRequested,
    GrowthSettled,
    GrowthState,
)
from domain.messages import (
    Accepted,
    Code,
    Event,
    GrowthId,
    Instant,
    MigrationId,
    OperationId,
    Refusal,
)
from domain.migration import MigrateContainer, MigrationRequested, MigrationState
from domain.moves import LiveMove
from domain.moving import abandon, migrate
from domain.operation import ScaleNode
from domain.placement import Chosen, place, wish_for
from domain.room import make_room
from domain.scaling import find_container, forced, grow, limits, scaled
from domain.tenancy import missing

OTHER_LIMITS = "other limits were asked for"

GrowthCommand = ScaleNode | GrowDeferred | AdvanceGrowth | CancelGrowth


def decide(fleet: Fleet, ask: GrowthCommand, now: Instant) -> Outcome:
    """Decide what is asked for about limits of one container, and about growths."""
    match ask:
        case ScaleNode():
            return scale_node(fleet, ask, now)
        case GrowDeferred():
            return grow_deferred(fleet, ask, now)
        case AdvanceGrowth():
            return advance(fleet, ask, now)
        case CancelGrowth():
            return cancel(fleet, ask)


def scale_node(fleet: Fleet, ask: ScaleNode, now: Instant) -> Outcome:
    """Give one container other limits now, or as soon as there is room for them."""
    container = find_container(fleet, ask.container)
    if isinstance(container, Refusal):
        return container
    wanted = limits((container.reserved, container.limit), ask.reserved, ask.limit)
    if isinstance(wanted, Refusal):
        return wanted
    growth = fleet.growth_of(container.id)
    aim = Aim(*wanted)
    if growth is not None and growth.aim == aim and not ask.force:
        return NOTHING
    if wanted == (container.reserved, container.limit):
        over = () if growth is not None and growth.held else overtaken(fleet, container)
        refused = (GrowthRefused(container.id, OTHER_LIMITS),) if container.deferred else ()
        return Decision((*over, *refused))
    if ask.force:
        over = overtaken(fleet, container)
        force = forced(fleet, container, wanted, ask.reason)
        return Decision((*over, *force, scaled(container, wanted)))
    return begin(fleet, ask, container, aim, now)


def begin(fleet: Fleet, ask: ScaleNode, container: Container, aim: Aim, now: Instant) -> Outcome:
    """Grow (or shrink) at once; else let room be made, where that is wanted."""
    over = overtaken(fleet, container)
    outcome = grow(fleet, container, sized(container, aim))
    if isinstance(outcome, Decision):
        return replace(outcome, facts=(*over, *outcome.facts))
    if not ask.make_room:
        return outcome
    started = start(fleet, container, aim, now)
    if isinstance(started, Refusal):
        return started
    name = started[0].growth
    answer = Accepted(operation=name, containers=(container.id,))
    return Decision((*over, *started), answer=answer)


def grow_deferred(fleet: Fleet, ask: GrowDeferred, now: Instant) -> Outcome:
    """Do now what did not fit while the container moved, or make room for it."""
    container = fleet.containers.get(ask.container)
    if container is None or container.deferred is None or container.target is not None:
        return NOTHING
    aim = Aim(*container.deferred)
    outcome = grow(fleet, container, sized(container, aim))
    if isinstance(outcome, Decision):
        return outcome
    started = start(fleet, container, aim, now, asked_by(fleet, container))
    if isinstance(started, Refusal):
        return Decision((GrowthRefused(container.id, started.detail),))
    return Decision(started)


def asked_by(fleet: Fleet, container: Container) -> OperationId | None:
    """Return the operation whose step waits for what was deferred, if there is one."""
    name = fleet.layers[container.environment, container.layer].operation
    step = fleet.operations[name].step(container.id) if name else None
    if step is None or (step.planned.reserved, step.planned.limit) != container.deferred:
        return None
    return name


def cancel(fleet: Fleet, ask: CancelGrowth) -> Outcome:
    """Give a growth up; the container keeps its limits."""
    growth = fleet.growths.get(GrowthId(ask.growth))
    if growth is None:
        return missing("growth", ask.growth)
    if growth.finished_at:
        return Refusal(
            Code.GROWTH_ENDED,
            f"growth {growth.id} is over: {growth.state}",
            "$.growth",
            {"outcome": growth.state.value},
        )
    answer = Accepted(containers=(growth.container,))
    return Decision(settle(fleet, growth, GrowthState.ABANDONED, "cancelled"), answer=answer)


def overtaken(fleet: Fleet, container: Container, why: str = OTHER_LIMITS) -> tuple[Event, ...]:
    """End the growth of a container that is under way, because something else is asked for."""
    growth = fleet.growth_of(container.id)
    return settle(fleet, growth, GrowthState.ABANDONED, why) if growth else ()


def sized(container: Container, aim: Aim) -> ContainerScaled:
    """Return the fact that a container has what it is to have, and no less than it has."""
    if not aim.held:
        return scaled(container, aim.limits)
    held = min(max(aim.held, container.allocated), container.limit)
    return ContainerScaled(container.id, container.reserved, container.limit, held, USAGE)


Started = tuple[GrowthRequested] | tuple[GrowthRequested, GrowthPlanned]


def start(
    fleet: Fleet,
    container: Container,
    aim: Aim,
    now: Instant,
    operation: OperationId | None = None,
) -> Started | Refusal:
    """Request a growth and plan it; refuse it with what is missing where there is no way.

    While the container moves nothing is planned: it is looked again where it then is.
    The growth that it had so far must be ended along with this, see `overtaken`.
    """
    growth = GrowthId(f"gr{fleet.next_number('growth')}")
    until = Instant(now + GROWTH_MAX_MS)
    requested = GrowthRequested(
        growth, container.id, aim.reserved, aim.limit, until, operation, aim.held
    )
    if container.migration is not None and not given_up(fleet, container):
        return (requested,)
    planned = plan(fleet, growth, container, aim)
    if isinstance(planned, NoRoom):
        return no_room(fleet, container, aim, planned)
    return (requested, planned)


def given_up(fleet: Fleet, container: Container) -> bool:
    """Say whether a container moves for its growth alone, and would not once that is ended."""
    growth = fleet.growth_of(container.id)
    move = fleet.migrations.get(growth.migration) if growth and growth.migration else None
    if move is None or move.id != container.migration:
        return False
    return move.state is MigrationState.WAITING


def no_room(fleet: Fleet, container: Container, aim: Aim, none: NoRoom) -> Refusal:
    host = fleet.hosts[container.host]
    more = sized(container, aim).allocated - container.allocated
    return Refusal(
        Code.CAPACITY_INSUFFICIENT,
        f"host {host.id} has {host.free} cloudlets free, {container.id} needs {more} more;"
        f" no live moves make room ({none.why}), and no other host takes it at that size;"
        " scale it less, or add a host",
        "$.reserved",
        {"free": host.free, "needed": more, "missing": none.missing, "proven": none.proven},
    )


# Planning


def plan(fleet: Fleet, growth: GrowthId, container: Container, aim: Aim) -> GrowthPlanned | NoRoom:
    """Return the cheaper of making room here and of moving to a host with room.

    What is leaving the host already makes room too: that may be enough, and no move is planned.
    """
    size = sized(container, aim).allocated
    more = size - container.allocated - leaving(fleet, container)
    here = make_room(fleet, Need(container.host, max(more, 0), stay=frozenset({container.id})))
    away = elsewhere(fleet, container, size)
    if away is None:
        if isinstance(here, NoRoom):
            return here
        return GrowthPlanned(growth, "room", container.host, here.moves, here.cloudlets)
    cost: Cost = (away.cloudlets, 1)
    if isinstance(here, Moves) and here.cost <= cost:
        return GrowthPlanned(growth, "room", container.host, here.moves, here.cloudlets, cost)
    other = here.cost if isinstance(here, Moves) else None
    return GrowthPlanned(growth, "move", container.host, (away,), away.cloudlets, other)


def leaving(fleet: Fleet, container: Container) -> int:
    """Return how many cloudlets of others are leaving the host of a container at the moment."""
    others = (fleet.containers[one] for one in fleet.moving.values() if one != container.id)
    return sum(other.allocated for other in others if other.host == container.host)


def elsewhere(fleet: Fleet, container: Container, size: int) -> LiveMove | None:
    """Return where the container itself could go and have `size` cloudlets, if it may move.

    What a step of an operation has cannot leave before that step is over, which may wait for this.
    """
    if not container.running or container.claim or fleet.hosts[container.host].unable:
        return None
    layer = fleet.layers[container.environment, container.layer]
    chosen = place(fleet, replace(wish_for(fleet, layer, container, size), live=True))
    if not isinstance(chosen, Chosen):
        return None
    held = container.allocated, container.disk_gib
    return LiveMove(container.id, container.host, chosen.host, *held)


# Going on


def advance(fleet: Fleet, ask: AdvanceGrowth, now: Instant) -> Outcome:
    """Carry a growth on from where it stands."""
    growth = fleet.growths.get(GrowthId(ask.growth))
    if growth is None or growth.finished_at:
        return NOTHING
    why = pointless(fleet, growth)
    if why:
        return Decision(settle(fleet, growth, GrowthState.ABANDONED, why))
    return Decision(go_on(fleet, growth, fleet.containers[growth.container], now))


def pointless(fleet: Fleet, growth: Growth) -> str:
    """Say why nobody waits for a growth any more, "" if somebody does."""
    container = fleet.containers.get(growth.container)
    if container is None:
        return f"{growth.container} was removed"
    if (container.reserved, container.limit) != growth.before:
        return OTHER_LIMITS
    if fleet.hosts[container.host].lost:
        return f"host {container.host} is lost"
    if growth.held and not container.running:
        return f"{container.id} does not run any more"
    if growth.operation is None:
        return ""
    operation = fleet.operations.get(growth.operation)
    if operation is None or operation.cancelled or operation.step(growth.container) is None:
        return f"{growth.operation} was cancelled, or its step is over"
    return ""


def settle(
    fleet: Fleet,
    growth: Growth,
    outcome: GrowthState,
    detail: str = "",
    lacking: tuple[int, bool] = (0, False),
) -> tuple[Event, ...]:
    """End a growth; a move of its own that still waits is not begun any more."""
    settled = GrowthSettled(growth.id, growth.container, outcome, detail, *lacking)
    move = fleet.migrations.get(growth.migration) if growth.migration else None
    if move is None or move.state is not MigrationState.WAITING:
        return (settled,)
    return (settled, abandon(move, f"{growth.id} does not need it any more"))


def go_on(fleet: Fleet, growth: Growth, container: Container, now: Instant) -> tuple[Event, ...]:
    """Grow if there is room; else wait for the move under way, begin the next, or plan anew."""
    if container.target is None:
        outcome = grow(fleet, container, sized(container, growth.aim))
        if isinstance(outcome, Decision):
            return (*settle(fleet, growth, GrowthState.DONE), *outcome.facts)
    if now >= growth.until:
        return too_late(fleet, growth, container)
    move = fleet.migrations.get(growth.migration) if growth.migration else None
    if container.migration is not None or (move is not None and not move.finished_at):
        return ()
    if not growth.todo and enough_leaves(fleet, container, growth.aim):
        return ()
    went_well = move is None or move.state is MigrationState.COMPLETED
    if went_well and growth.todo and growth.host == container.host:
        return next_move(fleet, growth, container, now)
    return plan_again(fleet, growth, container)


def enough_leaves(fleet: Fleet, container: Container, aim: Aim) -> bool:
    """Say whether there is room when everything has gone that is leaving the host now."""
    more = sized(container, aim).allocated - container.allocated
    gone = leaving(fleet, container)
    return gone > 0 and more <= fleet.hosts[container.host].free + gone


def too_late(fleet: Fleet, growth: Growth, container: Container) -> tuple[Event, ...]:
    """Refuse a growth whose time is over, with what is missing where it is."""
    host = fleet.hosts[container.host]
    more = sized(container, growth.aim).allocated - container.allocated
    lacking = max(more - max(host.free, 0), 0)
    detail = (
        f"not within {GROWTH_MAX_MS // 1_000} s: {container.id} needs {more} cloudlets more,"
        f" host {host.id} has {host.free} free; {container.id} keeps its limits"
    )
    return settle(fleet, growth, GrowthState.REFUSED, detail, (lacking, False))


def next_move(
    fleet: Fleet, growth: Growth, container: Container, now: Instant
) -> tuple[Event, ...]:
    """Ask for the next migration of the plan; if that is not possible any more, plan anew."""
    step = growth.todo[0]
    mover = fleet.containers.get(step.container)
    if mover is None or mover.host != step.source:
        return plan_again(fleet, growth, container)
    command = MigrateContainer(
        container=str(step.container), target=str(step.target), reason=f"for {growth.id}"
    )
    outcome = migrate(fleet, command, now)
    if isinstance(outcome, Refusal):
        return plan_again(fleet, growth, container)
    requested = next(fact for fact in outcome.facts if isinstance(fact, MigrationRequested))
    begun = GrowthMoveBegun(growth.id, step.container, MigrationId(requested.migration))
    return (*outcome.facts, begun)


def plan_again(fleet: Fleet, growth: Growth, container: Container) -> tuple[Event, ...]:
    """Make another plan, or refuse the growth with what is missing."""
    planned = plan(fleet, growth.id, container, growth.aim)
    if isinstance(planned, NoRoom):
        detail = no_room(fleet, container, growth.aim, planned).detail
        lacking = (planned.missing, planned.proven)
        return settle(fleet, growth, GrowthState.REFUSED, detail, lacking)
    if growth.plans >= PLANS_MAX:
        detail = f"{growth.plans} plans were overtaken or failed; {container.id} keeps its limits"
        return settle(fleet, growth, GrowthState.REFUSED, detail)
    return (planned,)
