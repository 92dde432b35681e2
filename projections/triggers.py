"""The lines of triggers, and their history: what fired, when, why, and what came of it."""

from msgspec.structs import replace

from domain.messages import Instant
from domain.trigger import Trigger, TriggerFired, TriggerRefused, TriggerSettled
from projections.feed import Placed
from projections.lines import NEVER, Line

HISTORY_MAX = 10_000
"""Firings and refusals that are kept; older ones are in the journal."""


class TriggerLine(Line, frozen=True, gc=False):
    """A trigger. `state`: off, watching, or scaling, which `operation` does.

    It rests until `ready_at`: the cooldown, or after one of `tries` that came to nothing.
    """

    id: str
    environment: str
    layer: str
    resource: str
    state: str
    add_above: int | None
    remove_below: int | None
    add: int
    remove: int
    min_count: int
    max_count: int
    window_s: int
    cooldown_s: int
    full: int | None
    operation: str
    ready_at: Instant
    tries: int
    version: int


class FiringLine(Line, frozen=True, gc=False):
    """A firing, or a refusal of one (`outcome` refused, with `code`), at a position of the journal.

    `id` is its operation, or its position where it was refused.

    `usage` (percent) called since `since` for `wanted` containers instead of `count`; `came_to` is
    how many there were when its operation was over. `outcome` is "" until then.
    """

    id: str
    position: int
    at: Instant
    trigger: str
    environment: str
    layer: str
    resource: str
    why: str
    usage: int
    since: Instant
    count: int
    wanted: int
    operation: str
    outcome: str
    came_to: int
    settled_at: Instant
    code: str
    detail: str
    until: Instant
    ask: str
    actor: str


Firings = dict[str, FiringLine]
"""The history of all triggers, oldest first, by the ids of its lines."""
Told = TriggerFired | TriggerRefused | TriggerSettled


def tell(firings: Firings, fact: Told, at: Placed) -> str | None:
    """Carry on the history; of what is over the oldest is forgotten beyond `HISTORY_MAX`.

    Returns the one that is forgotten, if one is.
    """
    name = named(fact, at)
    if isinstance(fact, TriggerSettled):
        old = firings.get(name)
        if old is not None:
            firings[name] = settled(old, fact, at.commit.at)
        return None
    firings[name] = begun(fact, at)
    if len(firings) > HISTORY_MAX:
        oldest = next((n for n, one in firings.items() if one.outcome), None)
        if oldest is not None:
            del firings[oldest]
        return oldest
    return None


def named(fact: Told, at: Placed) -> str:
    """Return the id of the line that a fact is about."""
    return str(at.position) if isinstance(fact, TriggerRefused) else fact.operation


def begun(fact: TriggerFired | TriggerRefused, at: Placed) -> FiringLine:
    refused = fact if isinstance(fact, TriggerRefused) else None
    return FiringLine(
        id=named(fact, at),
        position=at.position,
        at=at.commit.at,
        trigger=fact.trigger,
        environment=fact.environment,
        layer=fact.layer,
        resource=fact.resource,
        why=fact.why,
        usage=fact.usage,
        since=fact.since,
        count=fact.count,
        wanted=fact.wanted,
        operation=fact.operation if isinstance(fact, TriggerFired) else "",
        outcome="refused" if refused else "",
        came_to=fact.count if refused else 0,
        settled_at=at.commit.at if refused else NEVER,
        code=refused.code if refused else "",
        detail=refused.detail if refused else "",
        until=refused.until if refused else NEVER,
        ask=at.commit.ask,
        actor=at.commit.actor,
    )


def settled(line: FiringLine, fact: TriggerSettled, at: Instant) -> FiringLine:
    return replace(
        line,
        outcome=fact.outcome,
        came_to=fact.count,
        settled_at=at,
        detail=fact.detail,
        until=fact.until,
    )


def trigger_line(trigger: Trigger, version: int) -> TriggerLine:
    rule = trigger.rule
    return TriggerLine(
        id=trigger.id,
        environment=trigger.environment,
        layer=trigger.layer,
        resource=rule.resource,
        state=state(trigger),
        add_above=rule.add_above,
        remove_below=rule.remove_below,
        add=rule.add,
        remove=rule.remove,
        min_count=rule.min_count,
        max_count=rule.max_count,
        window_s=rule.window_s,
        cooldown_s=rule.cooldown_s,
        full=rule.full,
        operation=trigger.operation or "",
        ready_at=max(trigger.calm_until, trigger.again_at),
        tries=trigger.tries,
        version=version,
    )


def state(trigger: Trigger) -> str:
    if not trigger.enabled:
        return "off"
    return "watching" if trigger.operation is None else "scaling"
