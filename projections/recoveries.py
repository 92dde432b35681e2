"""The lines of recoveries: what was carried by a host that is lost, and what became of each."""

from itertools import chain

import msgspec

from domain import recovery as rc
from domain.messages import Instant
from domain.recovery import LEFT, Fate, Recovery, RecoveryBegun
from projections.feed import Placed
from projections.lines import Line


class RecoveredLine(Line, frozen=True, gc=False):
    """One container of a recovery. `state`: to come, starting, checking, routing, or its outcome.

    `target` is where it is started, or where it is in the end.
    """

    container: str
    state: str
    target: str = ""
    tries: int = 0
    detail: str = ""


class RecoveryLine(Line, frozen=True, gc=False):
    """A recovery of what host `host` carried. Counts are of containers.

    `outcome` is done or failed, "" until it is over; `why` what it waits for until `until`.
    `left` do not serve, and somebody has to do something. `containers` are there when one is
    shown, not in lists.
    """

    id: str
    kind: str
    host: str
    state: str
    outcome: str
    why: str
    until: Instant
    detail: str
    todo: int
    starting: int
    restarted: int
    left: int
    over: int
    requested_at: Instant
    finished_at: Instant
    ask: str
    actor: str
    reason: str
    version: int
    containers: tuple[RecoveredLine, ...] = ()


class RecoveryStory(msgspec.Struct, frozen=True):
    """A recovery as its events tell it, and what it was begun by."""

    recovery: Recovery
    ask: str
    actor: str
    version: int


Stories = dict[str, RecoveryStory]


def told(stories: Stories, fact: rc.RecoveryEvent, at: Placed, most: int) -> str | None:
    """Carry on the story the event belongs to; of those that are over `most` are kept.

    Returns the one that is forgotten, if one is.
    """
    version = at.event.version
    if isinstance(fact, RecoveryBegun):
        begun = rc.begin(fact, at.commit.at)
        stories[fact.recovery] = RecoveryStory(begun, at.commit.ask, at.commit.actor, version)
    else:
        old = stories[fact.recovery]
        now = rc.evolve(old.recovery, fact, at.commit.at)
        stories[fact.recovery] = msgspec.structs.replace(old, recovery=now, version=version)
    if len(stories) > most:
        oldest = next((n for n, one in stories.items() if one.recovery.finished_at), None)
        if oldest is not None:
            del stories[oldest]
        return oldest
    return None


def recovery_line(story: RecoveryStory, *, whole: bool = True) -> RecoveryLine:
    """Return the line of a recovery, with each of its containers if the `whole` is wanted."""
    one = story.recovery
    fates = [each.fate for each in one.over]
    return RecoveryLine(
        id=one.id,
        kind="recovery of",
        host=one.host,
        state=one.state.value,
        outcome=one.outcome,
        why=one.why,
        until=one.until,
        detail=one.detail if one.finished_at else "",
        todo=len(one.todo),
        starting=len(one.cases),
        restarted=fates.count(Fate.RESTARTED),
        left=sum(fate in LEFT for fate in fates),
        over=len(one.over),
        requested_at=one.requested_at,
        finished_at=one.finished_at,
        ask=story.ask,
        actor=story.actor,
        reason=one.reason,
        version=story.version,
        containers=tuple(containers(one)) if whole else (),
    )


def containers(one: Recovery) -> chain[RecoveredLine]:
    """Give each container with where it is: over, under way, to come."""
    return chain(
        (
            RecoveredLine(each.container, each.fate.value, each.host or "", detail=each.detail)
            for each in one.over
        ),
        (
            RecoveredLine(each.fallen.container, each.stage.value, each.host, each.fallen.tries)
            for each in one.cases
        ),
        (RecoveredLine(each.container, "to come", tries=each.tries) for each in one.todo),
    )
