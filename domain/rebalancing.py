"""The saga of a rebalance: asked for, paused, stopped; who moves next, and when it is over.

What was planned is looked at again before it begins: a move that has become pointless or impossible
is skipped, with the reason, and never forced. What may not move now is waited for.
"""

from domain.balancing import Balance, Wanted, balance
from domain.container import Container, Placing
from domain.decider import NOTHING, Decision, Outcome
from domain.departing import Manner, Obstacle, clipped, depart, held_up
from domain.evenness import Board
from domain.fleet import Fleet
from domain.messages import (
    Accepted,
    Code,
    EnvironmentId,
    Event,
    HostId,
    Instant,
    RebalanceId,
    Refusal,
)
from domain.migration import Migration, MigrationState
from domain.moves import LiveMove, MoveOutcome
from domain.moving import waits_for, wish
from domain.occupancy import occupancy
from domain.placement import Chosen, objection, reluctance
from domain.rebalance import (
    WAIT_MAX_MS,
    AdvanceRebalance,
    Begun,
    PauseRebalance,
    Rebalance,
    RebalanceFinished,
    RebalanceMoveBegun,
    RebalanceMoveEnded,
    RebalancePaused,
    RebalanceRegion,
    RebalanceRequested,
    RebalanceResumed,
    RebalanceState,
    RebalanceStopped,
    RebalanceWaiting,
    ResumeRebalance,
    Scope,
    StopRebalance,
)
from domain.tenancy import missing

RebalanceCommand = RebalanceRegion | PauseRebalance | ResumeRebalance | StopRebalance
Steering = PauseRebalance | ResumeRebalance | StopRebalance


def decide(fleet: Fleet, ask: RebalanceCommand) -> Outcome:
    """Decide what is asked for about making a region more even."""
    return start(fleet, ask) if isinstance(ask, RebalanceRegion) else steer(fleet, ask)


def start(fleet: Fleet, ask: RebalanceRegion) -> Outcome:
    """Plan and begin; where nothing makes it more even, nothing is begun, and it is said why."""
    scope = Scope(
        EnvironmentId(ask.environment) if ask.environment else None,
        tuple(HostId(name) for name in ask.hosts),
        ask.zone or "",
    )
    wrong = not_in_region(fleet, scope)
    if wrong is not None:
        return wrong
    under_way = next((one for one in fleet.rebalances.values() if not one.finished_at), None)
    if under_way is not None:
        return NOTHING if is_the_same(under_way, ask, scope) else busy(under_way)
    found = balance(fleet, Wanted(ask.moves, ask.goal, scope))
    if not found.moves:
        return Decision(answer=Accepted(notices=(f"nothing to move: {found.why}",)))
    rebalance = RebalanceId(f"rb{fleet.next_number('rebalance')}")
    requested = RebalanceRequested(
        rebalance,
        found.moves,
        ask.moves,
        ask.goal,
        scope,
        ask.live,
        ask.at_once,
        found.before,
        found.after,
        found.best,
        ask.reason,
    )
    return Decision((requested,), answer=Accepted(rebalance, notices=(forecast(found),)))


def not_in_region(fleet: Fleet, scope: Scope) -> Refusal | None:
    """Refuse a scope that names what is not there."""
    strange = next((name for name in scope.hosts if name not in fleet.hosts), None)
    if strange is not None:
        return Refusal(
            Code.HOST_NOT_FOUND,
            f"there is no host {strange}; leave hosts out, and all take part",
            "$.hosts",
            {"host": strange},
        )
    if scope.environment is not None and scope.environment not in fleet.environments:
        why = f"there is no environment {scope.environment}; leave it out, and all take part"
        return Refusal(Code.ENVIRONMENT_NOT_FOUND, why, "$.environment")
    zones = sorted({host.zone for host in fleet.hosts.values()})
    if scope.zone and scope.zone not in zones:
        known = ", ".join(zone for zone in zones if zone) or "none"
        why = f"no host is in zone {scope.zone}; zones are: {known}"
        return Refusal(Code.REQUEST_INVALID, why, "$.zone", {"zones": zones})
    return None


def is_the_same(one: Rebalance, ask: RebalanceRegion, scope: Scope) -> bool:
    asked = (ask.moves, ask.goal, scope, ask.live, ask.at_once)
    return (one.budget, one.goal, one.scope, one.live, one.at_once) == asked


def busy(one: Rebalance) -> Refusal:
    """Refuse a second one: what it planned with would not be so any more."""
    return Refusal(
        Code.OPERATION_BUSY,
        f"{one.id} is under way; wait for it (restow rebalance watch {one.id}), or stop it"
        f" (restow rebalance stop {one.id})",
        "",
        {"rebalance": str(one.id)},
    )


def forecast(found: Balance) -> str:
    """Return in a sentence what the plan comes to."""
    before, after = found.before, found.after
    best = "no other plan ends more even" if found.best else "there may be a better plan"
    return (
        f"{len(found.moves)} moves of {found.cloudlets} cloudlets: uneven layers"
        f" {before.uneven} -> {after.uneven}, largest skew {before.skew} -> {after.skew},"
        f" load {before.least}..{before.most} % -> {after.least}..{after.most} %; {best}"
    )


def steer(fleet: Fleet, ask: Steering) -> Outcome:
    """Pause, resume or stop a rebalance that is not over."""
    one = fleet.rebalances.get(RebalanceId(ask.rebalance))
    if one is None:
        return missing("rebalance", ask.rebalance)
    if one.finished_at:
        why = f"rebalance {one.id} is over: {one.outcome}"
        return Refusal(Code.REBALANCE_ENDED, why, "$.rebalance", {"outcome": one.outcome})
    paused, stopping = RebalanceState.PAUSED, RebalanceState.STOPPING
    match ask:
        case PauseRebalance() if one.state not in {paused, stopping}:
            return Decision((RebalancePaused(one.id),), answer=Accepted(one.id))
        case ResumeRebalance() if one.state is paused:
            return Decision((RebalanceResumed(one.id),), answer=Accepted(one.id))
        case StopRebalance() if one.state is not stopping:
            return Decision((RebalanceStopped(one.id, ask.reason),), answer=Accepted(one.id))
        case _:
            return NOTHING


# Going on


def advance(fleet: Fleet, ask: AdvanceRebalance, now: Instant) -> Outcome:
    """Do the one next thing that a rebalance can do now; a later look does the next."""
    one = fleet.rebalances.get(RebalanceId(ask.rebalance))
    if one is None or one.finished_at:
        return NOTHING
    known = over_by_now(fleet, one)
    if known is not None:
        return Decision((known,))
    if not one.todo and not one.moves:
        return Decision((finish(fleet, one),))
    if one.state is RebalanceState.PAUSED or not one.todo or len(one.moves) >= one.at_once:
        return NOTHING
    return Decision(next_move(fleet, one, now))


def over_by_now(fleet: Fleet, one: Rebalance) -> RebalanceMoveEnded | None:
    """Return what became of a container that moved, or is not where it was any more."""
    for begun in one.moves:
        migration = fleet.migrations.get(begun.migration)
        if migration is None or migration.finished_at:
            return heard(one, begun, migration)
    for move in one.todo:
        container = fleet.containers.get(move.container)
        if container is None:
            gone = MoveOutcome.GONE
            return RebalanceMoveEnded(one.id, move.container, gone, "it is no more")
        if container.host != move.source:
            why = f"it is on {container.host} by now, not on {move.source}"
            return RebalanceMoveEnded(one.id, move.container, MoveOutcome.SKIPPED, why)
    return None


def heard(one: Rebalance, begun: Begun, migration: Migration | None) -> RebalanceMoveEnded:
    """Return what the end of a migration means; a failed move is not tried again."""
    name = begun.move.container
    if migration is None or migration.state is MigrationState.COMPLETED:
        return RebalanceMoveEnded(one.id, name, MoveOutcome.MOVED)
    return RebalanceMoveEnded(one.id, name, MoveOutcome.FAILED, migration.detail)


def next_move(fleet: Fleet, one: Rebalance, now: Instant) -> tuple[Event, ...]:
    """Begin the first move that may begin now; or wait; or skip what is pointless or impossible."""
    board = Board(fleet, one.scope, occupancy(fleet))
    stuck: list[tuple[LiveMove, Obstacle]] = []
    for move in one.todo:
        found = look(board, one, move)
        if isinstance(found, Chosen):
            manner = Manner(one.live, f"rebalance {one.id}")
            migration, facts = depart(fleet, fleet.containers[move.container], found, manner, now)
            begun = RebalanceMoveBegun(
                one.id, move.container, migration, move.target, cold=not one.live
            )
            return (*facts, begun)
        stuck.append((move, found))
    if one.moves:
        return ()
    if 0 < one.until <= now:
        return skip(one, stuck)
    first = next((n for n, (_, obstacle) in enumerate(stuck) if not obstacle.lasting), len(stuck))
    if first:
        return skip(one, stuck[:first])
    if one.state is RebalanceState.WAITING:
        return ()
    return (RebalanceWaiting(one.id, stuck[0][1].why, Instant(now + WAIT_MAX_MS)),)


def skip(one: Rebalance, stuck: list[tuple[LiveMove, Obstacle]]) -> tuple[Event, ...]:
    """Leave containers where they are, each with its own reason."""
    return tuple(
        RebalanceMoveEnded(one.id, move.container, MoveOutcome.SKIPPED, clipped(obstacle.why))
        for move, obstacle in stuck
    )


def look(board: Board, one: Rebalance, move: LiveMove) -> Chosen | Obstacle:
    """Say whether a move may begin now, or why not. Room that others leave may come."""
    fleet = board.fleet
    container = fleet.containers[move.container]
    obstacle = held_up(fleet, container, live=one.live)
    if obstacle is not None:
        return obstacle
    wished = wish(fleet, container, live=one.live)
    if move.target not in fleet.hosts:
        return Obstacle(f"there is no host {move.target} any more", lasting=True)
    against = reluctance(fleet, wished, move.target) or objection(fleet, wished, move.target)
    if against:
        return Obstacle(against, lasting=True)
    if not is_worth(board, one, container, move.target):
        return Obstacle("it would not make anything more even any more", lasting=True)
    why = waits_for(fleet, container, move.target)
    planned = Placing("planned", len(fleet.hosts), 1)
    return Obstacle(why) if why else Chosen(move.target, planned)


def is_worth(board: Board, one: Rebalance, container: Container, target: HostId) -> bool:
    """Say whether a move still makes it more even, were all that is on its way there already."""
    place = board.index.place
    source, there = place[container.host], place[target]
    gain = board.gain(board.weight(container), source, there)
    return board.is_worth(one.goal, gain, source, there)


def finish(fleet: Fleet, one: Rebalance) -> RebalanceFinished:
    """Say how it ended, and how even it is now."""
    outcomes = [ended.outcome for ended in one.over]
    outcome = "failed" if MoveOutcome.FAILED in outcomes else "done"
    if one.state is RebalanceState.STOPPING:
        outcome = "stopped"
    after = Board(fleet, one.scope, occupancy(fleet)).evenness()
    return RebalanceFinished(one.id, outcome, outcomes.count(MoveOutcome.MOVED), after)
