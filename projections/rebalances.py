"""Rebalances as they are read: what was planned, how far it is, and how even it was and became."""

from collections.abc import Iterator

from domain.messages import Instant, RebalanceId, Refusal
from domain.moves import Ended, LiveMove, MoveOutcome
from domain.rebalance import Rebalance
from projections import questions as q
from projections.answers import is_older, unknown
from projections.lines import Line
from projections.reads import Reads


class EvenedLine(Line, frozen=True, gc=False):
    """One planned move. `state`: to come, moving, moved, failed, skipped, gone or left."""

    container: str
    source: str
    target: str
    cloudlets: int
    state: str
    migration: str = ""
    detail: str = ""


class RebalanceLine(Line, frozen=True, gc=False):
    """A rebalance. Counts are of containers; loads of the least and most loaded host in percent.

    `uneven` layers differ by more than one between hosts, at most by `skew`. Of each there is what
    it was before, what it was to be (`planned`), and `after` it was over. `best`: there was no
    better plan. `why` is what it waits for until `until`. `containers` are there when one is
    shown, not in lists.
    """

    id: str
    goal: str
    environment: str
    zone: str
    hosts: tuple[str, ...]
    live: bool
    at_once: int
    budget: int
    best: bool
    state: str
    outcome: str
    why: str
    until: Instant
    detail: str
    todo: int
    moving: int
    moved: int
    failed: int
    skipped: int
    gone: int
    left: int
    cloudlets: int
    uneven_before: int
    uneven_planned: int
    uneven_after: int
    skew_before: int
    skew_planned: int
    skew_after: int
    least_before: int
    least_planned: int
    least_after: int
    most_before: int
    most_planned: int
    most_after: int
    requested_at: Instant
    finished_at: Instant
    reason: str
    version: int
    containers: tuple[EvenedLine, ...] = ()


def rebalance_line(one: Rebalance, version: int, *, whole: bool = True) -> RebalanceLine:
    """Return the line of a rebalance, with each of its moves if the `whole` is wanted."""
    outcomes = [each.outcome for each in one.over]
    before, planned, after = one.before, one.planned, one.after
    return RebalanceLine(
        id=one.id,
        goal=one.goal.value,
        environment=one.scope.environment or "",
        zone=one.scope.zone,
        hosts=one.scope.hosts,
        live=one.live,
        at_once=one.at_once,
        budget=one.budget,
        best=one.best,
        state=one.state.value,
        outcome=one.outcome,
        why=one.why,
        until=one.until,
        detail=one.detail,
        todo=len(one.todo),
        moving=len(one.moves),
        moved=outcomes.count(MoveOutcome.MOVED),
        failed=outcomes.count(MoveOutcome.FAILED),
        skipped=outcomes.count(MoveOutcome.SKIPPED),
        gone=outcomes.count(MoveOutcome.GONE),
        left=outcomes.count(MoveOutcome.LEFT),
        cloudlets=sum(move.cloudlets for move in one.plan),
        uneven_before=before.uneven,
        uneven_planned=planned.uneven,
        uneven_after=after.uneven,
        skew_before=before.skew,
        skew_planned=planned.skew,
        skew_after=after.skew,
        least_before=before.least,
        least_planned=planned.least,
        least_after=after.least,
        most_before=before.most,
        most_planned=planned.most,
        most_after=after.most,
        requested_at=one.requested_at,
        finished_at=one.finished_at,
        reason=one.reason,
        version=version,
        containers=containers(one) if whole else (),
    )


def containers(one: Rebalance) -> tuple[EvenedLine, ...]:
    """Return every planned move, in the order of the plan."""
    over = {ended.container: ended for ended in one.over}
    moving = {begun.move.container: begun.migration for begun in one.moves}
    return tuple(
        evened_line(move, over.get(move.container), moving.get(move.container, ""))
        for move in one.plan
    )


def evened_line(move: LiveMove, ended: Ended | None, migration: str) -> EvenedLine:
    state = ended.outcome.value if ended else "moving" if migration else "to come"
    detail = ended.detail if ended else ""
    route = (move.container, move.source, move.target, move.cloudlets)
    return EvenedLine(*route, state, migration, detail)


def rebalances(reads: Reads, ask: q.RebalanceList) -> Iterator[RebalanceLine]:
    for one in reversed(reads.fleet.rebalances.values()):
        if ask.state in (None, one.state) and is_older(one.id, ask.after):
            yield rebalance_line(one, reads.version("rebalance", one.id), whole=False)


def rebalance(reads: Reads, ask: q.RebalanceShow) -> RebalanceLine | Refusal:
    found = reads.fleet.rebalances.get(RebalanceId(ask.rebalance))
    if found is None:
        return unknown("rebalance", ask.rebalance, reversed(reads.fleet.rebalances))
    return rebalance_line(found, reads.version("rebalance", found.id))
