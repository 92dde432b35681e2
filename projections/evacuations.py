"""The lines of evacuations, told from the saga's own state; and whether hosts can be emptied."""

import msgspec

from domain import evacuation as ev
from domain.evacuation import Evacuation, EvacuationFinished, EvacuationRequested
from domain.feasibility import Verdict
from domain.fleet import Fleet
from domain.messages import ContainerId, Instant
from domain.moves import MoveOutcome
from projections.feed import Placed
from projections.lines import Line


class EvacuatedLine(Line, frozen=True, gc=False):
    """One container of an evacuation. `state`: to come, moving, moved, failed, gone or left."""

    container: str
    state: str
    target: str = ""
    migration: str = ""
    tries: int = 0
    detail: str = ""


class EvacuationLine(Line, frozen=True, gc=False):
    """An evacuation, or a way back (`kind` restore). Counts are of containers.

    `outcome` is done, failed or stopped, "" until it is over; `why` what it waits for until
    `until`; `feasible` and what is missing were known before it began, and at its end again.
    `containers` are there when one is shown, not in lists.
    """

    id: str
    kind: str
    host: str
    targets: tuple[str, ...]
    live: bool
    at_once: int
    state: str
    outcome: str
    why: str
    until: Instant
    feasible: str
    missing_cloudlets: int
    missing_disk_gib: int
    detail: str
    todo: int
    moving: int
    moved: int
    failed: int
    gone: int
    left: int
    requested_at: Instant
    finished_at: Instant
    ask: str
    actor: str
    reason: str
    version: int
    containers: tuple[EvacuatedLine, ...] = ()


class FeasibilityLine(Line, frozen=True, gc=False):
    """Whether all containers of host `id` can go elsewhere: feasible, infeasible or unknown.

    `placed` and `left` are counts; `missing_*` what lacks at least; `places` where each would go.
    """

    id: str
    state: str
    answer: str
    containers: int
    placed: int
    left: tuple[str, ...]
    missing_cloudlets: int
    missing_disk_gib: int
    why: str
    places: tuple[tuple[str, str], ...]


class EvacuationStory(msgspec.Struct, frozen=True):
    """An evacuation as its events tell it, with who asked for it and how it ended."""

    evacuation: Evacuation
    asked: EvacuationRequested
    ask: str
    actor: str
    version: int
    ended: EvacuationFinished | None = None


Stories = dict[str, EvacuationStory]


def told(stories: Stories, fact: ev.EvacuationEvent, at: Placed, most: int) -> str | None:
    """Carry on the story the event belongs to; of those that are over `most` are kept.

    Returns the one that is forgotten, if one is.
    """
    version = at.event.version
    if isinstance(fact, EvacuationRequested):
        begun = ev.begin(fact, at.commit.at)
        story = EvacuationStory(begun, fact, at.commit.ask, at.commit.actor, version)
    else:
        old = stories[fact.evacuation]
        story = msgspec.structs.replace(
            old,
            evacuation=ev.evolve(old.evacuation, fact, at.commit.at),
            version=version,
            ended=fact if isinstance(fact, EvacuationFinished) else None,
        )
    stories[fact.evacuation] = story
    if len(stories) > most:
        oldest = next((n for n, one in stories.items() if one.evacuation.finished_at), None)
        if oldest is not None:
            del stories[oldest]
        return oldest
    return None


def evacuation_line(story: EvacuationStory, *, whole: bool = True) -> EvacuationLine:
    """Return the line of an evacuation, with each of its containers if the `whole` is wanted."""
    one, asked, ended = story.evacuation, story.asked, story.ended
    outcomes = [each.outcome for each in one.over]
    known = ended or asked
    return EvacuationLine(
        id=one.id,
        kind=one.kind.value,
        host=one.host,
        targets=one.targets,
        live=one.live,
        at_once=one.at_once,
        state=one.state.value,
        outcome=one.outcome,
        why=one.why,
        until=one.until,
        feasible=asked.feasible,
        missing_cloudlets=known.missing_cloudlets,
        missing_disk_gib=known.missing_disk_gib,
        detail=ended.detail if ended else "",
        todo=len(one.todo),
        moving=len(one.moves),
        moved=outcomes.count(MoveOutcome.MOVED),
        failed=outcomes.count(MoveOutcome.FAILED),
        gone=outcomes.count(MoveOutcome.GONE),
        left=outcomes.count(MoveOutcome.LEFT),
        requested_at=one.requested_at,
        finished_at=one.finished_at,
        ask=story.ask,
        actor=story.actor,
        reason=asked.reason,
        version=story.version,
        containers=containers(one) if whole else (),
    )


def containers(one: Evacuation) -> tuple[EvacuatedLine, ...]:
    """Return each container with where it is: over, under way, to come."""
    return (
        *(
            EvacuatedLine(each.container, each.outcome.value, each.target or "", detail=each.detail)
            for each in one.over
        ),
        *(
            EvacuatedLine(
                move.wanted.container, "moving", move.target, move.migration, move.wanted.tries
            )
            for move in one.moves
        ),
        *(
            EvacuatedLine(wanted.container, "to come", wanted.target or "", tries=wanted.tries)
            for wanted in one.todo
        ),
    )


def feasibility_line(verdict: Verdict, fleet: Fleet) -> FeasibilityLine:
    return FeasibilityLine(
        id=verdict.host,
        state=fleet.hosts[verdict.host].state.value,
        answer=verdict.answer,
        containers=len(verdict.places) + len(verdict.left),
        placed=len(verdict.places),
        left=tuple(str(ContainerId(name)) for name in verdict.left),
        missing_cloudlets=verdict.missing_cloudlets,
        missing_disk_gib=verdict.missing_disk_gib,
        why=verdict.why,
        places=verdict.places,
    )
