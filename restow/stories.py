"""The diagrams of `docs/stories`: what the sagas were seen to do in every small region.

Nothing is drawn by hand. Each of `SEARCHES` goes every way that its region can go; whatever an
operation, a step of one or a migration did on the way is a transition, and there are no others.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby

import msgspec

from domain.evacuation import WAIT_MAX_MS, EvacuationEvent
from domain.facts import tag
from domain.fleet import Fleet
from domain.growth import GROWTH_MAX_MS, GrowthEvent, GrowthMoveBegun
from domain.messages import MIGRATION_DEADLINE_S, MigrationId
from domain.migration import QUEUE_MAX_MS, SLACK_MS, MigrationEvent
from domain.operation import (
    ADMISSION_MAX_MS,
    GRACE_MS,
    HEALTH_MAX_MS,
    TTL_MS,
    OperationEvent,
    OperationState,
    StepAdvanced,
    StepFinished,
    StepKind,
    StepStarted,
)
from domain.orders import ORDER_LIFE_MS, OrderIssued
from domain.rebalance import WAIT_MAX_MS as REBALANCE_WAIT_MS
from domain.rebalance import Rebalance, RebalanceEvent, RebalanceMoveBegun
from domain.recovery import WAIT_MAX_MS as RECOVERY_WAIT_MS
from domain.recovery import (
    Recovery,
    RecoveryAdvanced,
    RecoveryEnded,
    RecoveryEvent,
    RecoveryFailed,
    RecoveryStarting,
)
from domain.step import ANSWER_MAX_MS
from domain.trigger import TriggerEvent, TriggerRemoved
from restow import evening, searches, watching
from restow.exploring import Happening, explore

SEARCHES = (*searches.SEARCHES, *watching.SEARCHES, *evening.SEARCHES)
NOWHERE = "[*]"
WISHES = ("growth.", "container.", "layer.", "agent.follow-usage")
"""What is heard by growths and is not the end of something else."""
ALIKE = {StepKind.DEPLOY: StepKind.REDEPLOY}
"""Steps that are told as another kind, from which they differ only in what they order."""
ASKED_FOR = "container.migrate"
TO_COME = "to come"
NAMED_BY_EVENT = {"operation", "evacuation", "rebalance", "recovery", "growth", "trigger"}
"""Stories whose arrows say what happened, not what was heard."""


class Transition(msgspec.Struct, frozen=True, order=True):
    """One way of a saga: from where, to where, by which event, what it heard, what it ordered."""

    story: str
    before: str
    after: str
    event: str
    ordered: str = ""
    heard: str = ""


@cache
def transitions() -> frozenset[Transition]:
    """Return everything that was seen in any search."""
    return frozenset(
        way for search in SEARCHES for happening in explore(search) for way in seen(happening)
    )


def seen(happening: Happening) -> Iterator[Transition]:
    """Give what a saga did in one event: with a step its operation may have moved too."""
    event = happening.event
    if isinstance(event, StepStarted | StepAdvanced | StepFinished):
        yield of_step(happening, event)
    if isinstance(event, OperationEvent) and not isinstance(event, StepAdvanced):
        yield of_operation(happening, event)
    if isinstance(event, MigrationEvent):
        yield of_migration(happening, event)
    if isinstance(event, EvacuationEvent):
        yield of_evacuation(happening, event)
    if isinstance(event, RecoveryEvent):
        yield of_recovery(happening, event)
    if isinstance(event, RecoveryStarting | RecoveryAdvanced | RecoveryFailed | RecoveryEnded):
        yield of_case(happening, event)
    yield from of_wishes(happening)


def of_wishes(happening: Happening) -> Iterator[Transition]:
    """Give what a growth, a trigger or a rebalance did."""
    event = happening.event
    if isinstance(event, RebalanceEvent):
        yield of_rebalance(happening, event)
    if isinstance(event, GrowthEvent):
        yield of_growth(happening, event)
    if isinstance(event, TriggerEvent):
        yield of_trigger(happening, event)


def of_step(happening: Happening, event: StepStarted | StepAdvanced | StepFinished) -> Transition:
    after = happening.after.operations[event.operation]
    old = happening.before.operations[event.operation].step(event.container)
    new = after.step(event.container)
    kind = (old or new or after.over[-1]).planned.kind
    kind = ALIKE.get(kind, kind)
    ended = event.outcome if isinstance(event, StepFinished) else ""
    before = old.stage if old else NOWHERE
    begins = before in {NOWHERE, "opening"}
    heard = "" if begins else told(happening, event.operation, event.container)
    now = new.stage if new else ended
    return Transition(f"step {kind}", before, now, tag(event), ordered(happening), heard)


def of_operation(happening: Happening, event: OperationEvent) -> Transition:
    before = operation_at(happening.before, event.operation)
    after = operation_at(happening.after, event.operation)
    command = happening.heard.name
    heard = command if command.startswith("operation.") else ""
    return Transition("operation", before, after, tag(event), "", heard)


def operation_at(fleet: Fleet, name: str) -> str:
    one = next((one for one in fleet.operations.values() if one.id == name), None)
    if one is None:
        return NOWHERE
    return one.outcome if one.state is OperationState.FINISHED else one.state


def of_migration(happening: Happening, event: MigrationEvent) -> Transition:
    old = happening.before.migrations.get(event.migration)
    new = happening.after.migrations[event.migration]
    before = old.state if old else NOWHERE
    heard = told(happening, event.migration, new.container) if before != "waiting" else ""
    if before == NOWHERE and heard != ASKED_FOR:
        heard = begun_by(happening, new.id)
    return Transition("migration", before, new.state, tag(event), ordered(happening), heard)


def begun_by(happening: Happening, migration: MigrationId) -> str:
    """Return what asked for a migration that nobody outside asked for."""
    for fact in happening.commit:
        if isinstance(fact, GrowthMoveBegun | RebalanceMoveBegun) and fact.migration == migration:
            return "a growth" if isinstance(fact, GrowthMoveBegun) else "a rebalance"
    return "an evacuation"


def of_evacuation(happening: Happening, event: EvacuationEvent) -> Transition:
    before = evacuation_at(happening.before, event.evacuation)
    after = evacuation_at(happening.after, event.evacuation)
    command = happening.heard.name
    heard = command if command.startswith(("evacuation.", "host.")) else ""
    return Transition("evacuation", before, after, tag(event), "", heard)


def evacuation_at(fleet: Fleet, name: str) -> str:
    one = next((one for one in fleet.evacuations.values() if one.id == name), None)
    if one is None:
        return NOWHERE
    return one.outcome if one.finished_at else one.state


def of_rebalance(happening: Happening, event: RebalanceEvent) -> Transition:
    before = rebalance_at(happening.before.rebalances.get(event.rebalance))
    after = rebalance_at(happening.after.rebalances[event.rebalance])
    command = happening.heard.name
    heard = command if command.startswith("rebalance.") else ""
    return Transition("rebalance", before, after, tag(event), "", heard)


def rebalance_at(one: Rebalance | None) -> str:
    return (one.outcome or one.state) if one else NOWHERE


def of_recovery(happening: Happening, event: RecoveryEvent) -> Transition:
    before = recovery_at(happening.before.recoveries.get(event.recovery))
    after = recovery_at(happening.after.recoveries[event.recovery])
    command = happening.heard.name
    heard = command if command.startswith(("host.", "hosts.")) else ""
    return Transition("recovery", before, after, tag(event), "", heard)


def recovery_at(one: Recovery | None) -> str:
    if one is None:
        return NOWHERE
    return one.outcome or one.state


def of_case(
    happening: Happening,
    event: RecoveryStarting | RecoveryAdvanced | RecoveryFailed | RecoveryEnded,
) -> Transition:
    old = happening.before.recoveries[event.recovery].case(event.container)
    new = happening.after.recoveries[event.recovery].case(event.container)
    before = old.stage if old else TO_COME
    ended = event.fate if isinstance(event, RecoveryEnded) else TO_COME
    after = new.stage if new else ended
    heard = told(happening, event.recovery, event.container) if old else ""
    return Transition(
        "recovery of a container", before, after, tag(event), ordered(happening), heard
    )


def of_growth(happening: Happening, event: GrowthEvent) -> Transition:
    old = happening.before.growths.get(event.growth)
    new = happening.after.growths[event.growth]
    command = happening.heard.name
    heard = command if command.startswith(WISHES) else ""
    return Transition("growth", old.state if old else NOWHERE, new.state, tag(event), "", heard)


def of_trigger(happening: Happening, event: TriggerEvent) -> Transition:
    before = trigger_at(happening.before, event.trigger) or NOWHERE
    after = trigger_at(happening.after, event.trigger) or "removed"
    command = happening.heard.name
    heard = command if command.startswith("trigger.") else "the operation is over"
    if isinstance(event, TriggerRemoved) and not command.startswith("trigger."):
        heard = "its layer goes"
    return Transition("trigger", before, after, tag(event), "", heard)


def trigger_at(fleet: Fleet, name: str) -> str:
    one = next((one for one in fleet.triggers.values() if one.id == name), None)
    if one is None:
        return ""
    if one.operation is None:
        return "watching" if one.enabled else "off"
    return "scaling" if one.enabled else "scaling_off"


def told(happening: Happening, *whom: str) -> str:
    """Return what was heard, as the saga sees it; what others heard is no word to it."""
    heard = happening.heard
    return heard.name if heard.about in {"", *whom} else "another one"


def ordered(happening: Happening) -> str:
    """Return the work that was ordered together with the event."""
    number = getattr(happening.event, "order", None)
    for fact in happening.commit:
        if isinstance(fact, OrderIssued) and fact.order == number:
            return str(fact.work.__struct_config__.tag)
    return ""


# What is shown


def block(name: str) -> str:
    """Return the diagram and the table of a story, or the deadlines."""
    if name == "deadlines":
        return deadlines()
    ways = sorted(way for way in transitions() if way.story == name)
    if not ways:
        message = f"no search has seen anything of {name!r}"
        raise LookupError(message)
    return f"{diagram(ways)}\n{table(ways)}"


def diagram(ways: Iterable[Transition]) -> str:
    """Return the ways as a Mermaid state diagram: `heard / ordered` beside each arrow."""
    lines = ["```mermaid", "stateDiagram-v2"]
    arrows = groupby(ways, key=lambda way: (way.before, way.after))
    ends = set[str]()
    for (before, after), group in arrows:
        together = list(group)
        labels = dict.fromkeys(label(way) for way in together)
        said = "<br/>".join(text for text in labels if text)
        lines.append(f"    {before} --> {after}{' : ' if said else ''}{said}")
        ends.add(after)
    starts = {line.split()[0] for line in lines[2:]}
    lines += [f"    {end} --> {NOWHERE}" for end in sorted(ends - starts)]
    return "\n".join([*lines, "```", ""])


def label(way: Transition) -> str:
    heard = way.event.partition(".")[2] if way.story in NAMED_BY_EVENT else way.heard
    return f"{heard} / {way.ordered}".strip() if way.ordered else heard


def table(ways: Iterable[Transition]) -> str:
    """Return the ways as a table, one row for each event that leads from one place to another."""
    rows = [("from", "to", "event", "order given", "when it hears")]
    places = groupby(ways, key=lambda way: (way.before, way.after, way.event, way.ordered))
    for (before, after, event, order), group in places:
        heard = ", ".join(dict.fromkeys(way.heard for way in group if way.heard))
        rows.append((before.replace(NOWHERE, "(begins)"), after, f"`{event}`", order, heard))
    used = [column for column in zip(*rows, strict=True) if any(column[1:])]
    head, *body = zip(*used, strict=True)
    lines = (head, ("---",) * len(head), *body)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def deadlines() -> str:
    """Return every deadline of the sagas and what happens when it has passed."""
    rows = (
        ("an order may be begun by its agent", ORDER_LIFE_MS, "the agent leaves it undone"),
        ("a step waits for the answer to an order", ANSWER_MAX_MS, "the stage has failed"),
        ("a container out of DNS drains", TTL_MS + GRACE_MS, "the work begins"),
        ("a container becomes healthy", HEALTH_MAX_MS, "the step has failed"),
        ("a step waits for its container or for never zero", ADMISSION_MAX_MS, "it has failed"),
        ("a migration waits for what it needs", QUEUE_MAX_MS, "it is abandoned"),
        ("a migration, unless asked otherwise", MIGRATION_DEADLINE_S * 1_000, "back on the source"),
        ("an evacuation under which nothing moves", WAIT_MAX_MS, "the rest is given up"),
        ("a rebalance under which nothing moves", REBALANCE_WAIT_MS, "the rest stays"),
        ("a recovery under which nothing can be started", RECOVERY_WAIT_MS, "the rest is given up"),
        ("a growth that waits for room", GROWTH_MAX_MS, "it is refused"),
        ("the report after a migration's deadline", SLACK_MS, "it is called off"),
    )
    lines = ("| what | at most, s | and then |\n", "|---|---|---|\n")
    told = (f"| {what} | {ms / 1_000:g} | {then} |\n" for what, ms, then in rows)
    return "".join([*lines, *told])
