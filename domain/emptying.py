"""The saga of an evacuation, and of the way back: who moves next, where to, and when it is over.

It asks for migrations and hears how they end; caps, never zero and claims hold as for any other.
What may not move now is waited for; what cannot move at all is listed at the end, with the reason.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from domain.container import Container, Placing
from domain.decider import NOTHING, Decision, Outcome
from domain.departing import Manner, Obstacle, clipped, depart, held_up
from domain.evacuation import (
    TRIES_MAX,
    WAIT_MAX_MS,
    AdvanceEvacuation,
    Evacuation,
    EvacuationExtended,
    EvacuationFinished,
    EvacuationMoveBegun,
    EvacuationMoveEnded,
    EvacuationMoveReverted,
    EvacuationState,
    EvacuationWaiting,
    Kind,
    Move,
    Wanted,
)
from domain.feasibility import can_leave
from domain.fleet import Fleet
from domain.host import (
    HostCordoned,
    HostEvacuated,
    HostEvacuationFailed,
    unknown,
)
from domain.messages import (
    EvacuationId,
    Event,
    HostId,
    Instant,
    Refusal,
)
from domain.migration import (
    ARRIVING_MAX,
    LEAVING_MAX,
    MOVING_MAX,
    Migration,
    MigrationState,
)
from domain.moves import MoveOutcome
from domain.moving import choose, waits_for, wish
from domain.placement import Chosen, objection, place, reluctance


def advance(fleet: Fleet, ask: AdvanceEvacuation, now: Instant) -> Outcome:
    """Do the one next thing that an evacuation can do now; a later look does the next."""
    one = fleet.evacuations.get(EvacuationId(ask.evacuation))
    if one is None or one.finished_at:
        return NOTHING
    known = over_by_now(fleet, one)
    if known:
        return Decision(known)
    if not one.todo and not one.moves:
        return Decision(finish(fleet, one, now))
    if one.state is EvacuationState.PAUSED or not one.todo or len(one.moves) >= one.at_once:
        return NOTHING
    return Decision(next_move(fleet, one, now))


def over_by_now(fleet: Fleet, one: Evacuation) -> tuple[Event, ...]:
    """Return what became of containers that moved, or went without being moved."""
    for move in one.moves:
        migration = fleet.migrations.get(move.migration)
        if migration is None or migration.finished_at:
            return (heard(one, move, migration),)
    for wanted in one.todo:
        container = fleet.containers.get(wanted.container)
        if container is None:
            gone = MoveOutcome.GONE
            return (EvacuationMoveEnded(one.id, wanted.container, gone, detail="it is no more"),)
        if is_there(one, wanted, container):
            moved = "another migration moved it"
            return (
                EvacuationMoveEnded(one.id, container.id, MoveOutcome.MOVED, container.host, moved),
            )
    return ()


def is_there(one: Evacuation, wanted: Wanted, container: Container) -> bool:
    """Say whether a container that nobody moved yet is where it is to be."""
    if one.kind is Kind.EVACUATE:
        return container.host != one.host
    return container.host == wanted.target


def heard(one: Evacuation, move: Move, migration: Migration | None) -> Event:
    """Return what the end of a migration means: moved, tried again, or failed."""
    name = move.wanted.container
    if migration is None or migration.state is MigrationState.COMPLETED:
        return EvacuationMoveEnded(one.id, name, MoveOutcome.MOVED, move.target)
    again = move.wanted.tries + 1 < TRIES_MAX and one.state is not EvacuationState.STOPPING
    if again:
        return EvacuationMoveReverted(one.id, name, move.target, migration.detail)
    tries = f" ({move.wanted.tries + 1} tries)"
    return EvacuationMoveEnded(one.id, name, MoveOutcome.FAILED, None, f"{migration.detail}{tries}")


def next_move(fleet: Fleet, one: Evacuation, now: Instant) -> tuple[Event, ...]:
    """Begin the first move that may begin now; or wait; or give up what cannot move at all."""
    late = 0 < one.until <= now
    full = capped(fleet, one)
    if full:
        stuck = [(wanted, Obstacle(full)) for wanted in one.todo]
        return give_up(one, stuck) if late and not one.moves else waiting(one, full, now)
    obstacles: list[tuple[Wanted, Obstacle]] = []
    for wanted in one.todo:
        container = fleet.containers[wanted.container]
        found = look(fleet, one, wanted, container)
        if isinstance(found, Chosen):
            return begin(fleet, one, container, found, now)
        obstacles.append((wanted, found))
    if one.moves:
        return ()
    passing = [obstacle for _, obstacle in obstacles if not obstacle.lasting]
    if passing and not late:
        return waiting(one, passing[0].why, now)
    if fleet.moving and not late:
        return waiting(one, f"{obstacles[0][1].why}; others move, which may make room", now)
    return give_up(one, obstacles)


def give_up(one: Evacuation, stuck: list[tuple[Wanted, Obstacle]]) -> tuple[Event, ...]:
    """End every container that cannot move, with its own reason."""
    return tuple(
        EvacuationMoveEnded(
            one.id, wanted.container, MoveOutcome.FAILED, None, clipped(obstacle.why)
        )
        for wanted, obstacle in stuck
    )


def capped(fleet: Fleet, one: Evacuation) -> str:
    """Say which cap keeps every container of an evacuation where it is, "" if none does."""
    if len(fleet.moving) >= MOVING_MAX:
        return f"{len(fleet.moving)} migrations are under way (at most {MOVING_MAX})"
    host = fleet.hosts.get(one.host)
    if host is None:
        return ""
    if one.kind is Kind.EVACUATE and host.leaving >= LEAVING_MAX:
        return f"{host.leaving} migrations leave {host.id} (at most {LEAVING_MAX})"
    if one.kind is Kind.RESTORE and host.arriving >= ARRIVING_MAX:
        return f"{host.arriving} migrations arrive at {host.id} (at most {ARRIVING_MAX})"
    return ""


def waiting(one: Evacuation, why: str, now: Instant) -> tuple[Event, ...]:
    """Note that nothing can move now; while something moves, its end is waited for."""
    if one.moves or one.state is EvacuationState.WAITING:
        return ()
    return (EvacuationWaiting(one.id, why, Instant(now + WAIT_MAX_MS)),)


def look(fleet: Fleet, one: Evacuation, wanted: Wanted, container: Container) -> Chosen | Obstacle:
    """Return where a container may go now, or why it may not."""
    obstacle = held_up(fleet, container, live=one.live)
    if obstacle is not None:
        return obstacle
    chosen = find_target(fleet, one, wanted, container)
    if isinstance(chosen, Refusal):
        return Obstacle(chosen.detail, lasting=True)
    why = waits_for(fleet, container, chosen.host)
    return Obstacle(why) if why else chosen


def find_target(
    fleet: Fleet, one: Evacuation, wanted: Wanted, container: Container
) -> Chosen | Refusal:
    """Return the planned host if it still fits, else the best that was not tried in vain.

    A planned host that is crowded is waited for: another one's place may be all that one has.
    """
    if one.kind is Kind.RESTORE:
        if one.host not in fleet.hosts:
            return unknown(one.host)
        return choose(fleet, container, one.host, live=one.live)
    if still_fits(fleet, wanted, container, live=one.live):
        return Chosen(HostId(str(wanted.target)), Placing("planned", len(fleet.hosts), 1))
    wished = replace(wish(fleet, container, live=one.live), only=one.targets)
    crowded = tuple(crowded_hosts(fleet))
    for apart in ((*wanted.avoid, *crowded), wanted.avoid):
        found = place(fleet, replace(wished, apart=(container.host, *apart)))
        if isinstance(found, Chosen):
            return found
    return place(fleet, wished)


def crowded_hosts(fleet: Fleet) -> Iterable[HostId]:
    """Give the hosts at which no more migrations may arrive now."""
    for name in fleet.moving.values():
        target = fleet.containers[name].target
        if target is not None and fleet.hosts[target].arriving >= ARRIVING_MAX:
            yield target


def still_fits(fleet: Fleet, wanted: Wanted, container: Container, *, live: bool) -> bool:
    """Say whether the place that a container was given in the plan is still free for it."""
    target = wanted.target
    if target is None or target in wanted.avoid or target not in fleet.hosts:
        return False
    wished = wish(fleet, container, live=live)
    return not (reluctance(fleet, wished, target) or objection(fleet, wished, target))


def begin(
    fleet: Fleet, one: Evacuation, container: Container, chosen: Chosen, now: Instant
) -> tuple[Event, ...]:
    """Ask for a migration that begins at once, live or cold."""
    manner = Manner(one.live, f"{one.kind.value} {one.host} ({one.id})")
    migration, facts = depart(fleet, container, chosen, manner, now)
    begun = EvacuationMoveBegun(one.id, container.id, migration, chosen.host, cold=not one.live)
    return (*facts, begun)


def finish(fleet: Fleet, one: Evacuation, now: Instant) -> tuple[Event, ...]:
    """Say how it ended; first take in what came to the host meanwhile."""
    if one.kind is Kind.EVACUATE and one.state is not EvacuationState.STOPPING:
        more = newcomers(fleet, one)
        if more:
            return (EvacuationExtended(one.id, more),)
        arriving = fleet.hosts[one.host].arriving
        if arriving and one.state is EvacuationState.PAUSED:
            return ()
        late = 0 < one.until <= now
        if arriving and not late:
            return waiting(one, f"{arriving} migrations still arrive at {one.host}", now)
    moved = sum(ended.outcome is MoveOutcome.MOVED for ended in one.over)
    left = one.left
    outcome = "failed" if left else "done"
    if one.state is EvacuationState.STOPPING:
        outcome = "stopped"
    lack = can_leave(fleet, one.host, one.targets) if left and one.kind is Kind.EVACUATE else None
    finished = EvacuationFinished(
        one.id,
        outcome,
        moved,
        tuple(ended.container for ended in left),
        lack.missing_cloudlets if lack else 0,
        lack.missing_disk_gib if lack else 0,
        lack.why if lack else "",
    )
    return (finished, *state_after(fleet, one, outcome))


def newcomers(fleet: Fleet, one: Evacuation) -> tuple[Wanted, ...]:
    """Return containers that are on the host and not among those that are known to stay."""
    left = {ended.container for ended in one.left}
    if fleet.hosts[one.host].containers <= len(left):
        return ()
    return tuple(
        Wanted(name)
        for name, container in fleet.containers.items()
        if container.host == one.host and name not in left
    )


def state_after(fleet: Fleet, one: Evacuation, outcome: str) -> tuple[Event, ...]:
    """Return what the end makes of the host; a stopped one is left cordoned, a lost one lost."""
    if one.kind is Kind.RESTORE or fleet.hosts[one.host].lost:
        return ()
    if outcome == "done":
        return (HostEvacuated(one.host, one.id),)
    if outcome == "failed":
        return (HostEvacuationFailed(one.host, one.id),)
    return (HostCordoned(one.host, f"evacuation {one.id} was stopped"),)
