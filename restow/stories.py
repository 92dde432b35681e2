"""The diagrams of `docs/stories`: what the sagas were seen to do in every small region.

Nothing is drawn by hand. Each search of `SEARCHES` goes every way that its region can go; what an
operation, a step or a migration did on the way is a transition, and the diagrams are these.
"""

from collections.abc import Iterator
from functools import cache

import msgspec

from domain.environment import CreateEnvironment, LayerSpec, RemoveEnvironment
from domain.facts import Fact, tag
from domain.fleet import Fleet
from domain.host import RegisterHost
from domain.messages import Command
from domain.migration import MigrateContainer, MigrationEvent
from domain.operation import (
    OperationEvent,
    OperationState,
    RestartLayer,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
    Step,
    StepAdvanced,
    StepFinished,
    StepStarted,
)
from domain.orders import OrderIssued
from restow.exploring import Happening, Search, explore


class Transition(msgspec.Struct, frozen=True, order=True):
    """One way of a saga: from where, what it heard, the event, what it ordered, to where."""

    story: str
    before: str
    heard: str
    event: str
    ordered: str
    after: str


NOWHERE = "[*]"


def seen(happening: Happening) -> Iterator[Transition]:
    """Give what a saga did in one event: a step and its operation may both have moved."""
    event = happening.event
    if isinstance(event, StepStarted | StepAdvanced | StepFinished):
        yield of_step(happening, event)
    if isinstance(event, OperationEvent) and not isinstance(event, StepAdvanced):
        yield of_operation(happening, event)
    if isinstance(event, MigrationEvent):
        yield of_migration(happening, event)


def of_step(happening: Happening, event: StepStarted | StepAdvanced | StepFinished) -> Transition:
    before = happening.before.operations[event.operation]
    after = happening.after.operations[event.operation]
    step = before.step(event.container)
    new = after.step(event.container)
    kind = (step or new or after.over[-1]).planned.kind
    ended = event.outcome if isinstance(event, StepFinished) else ""
    return Transition(
        f"step {kind}",
        step.stage if step else NOWHERE,
        told(happening, event.operation, event.container),
        tag(event),
        ordered(happening),
        new.stage if new else ended,
    )


def operation_at(fleet: Fleet, name: str) -> str:
    one = fleet.operations.get(name)
    if one is None:
        return NOWHERE
    return one.outcome if one.state is OperationState.FINISHED else one.state


def of_operation(happening: Happening, event: OperationEvent) -> Transition:
    return Transition(
        "operation",
        operation_at(happening.before, event.operation),
        told(happening, event.operation, getattr(event, "container", "")),
        tag(event),
        "",
        operation_at(happening.after, event.operation),
    )


def of_migration(happening: Happening, event: MigrationEvent) -> Transition:
    before = happening.before.migrations.get(event.migration)
    after = happening.after.migrations[event.migration]
    return Transition(
        "migration",
        before.state if before else NOWHERE,
        told(happening, event.migration, after.container),
        tag(event),
        ordered(happening),
        after.state,
    )


def told(happening: Happening, *whom: str) -> str:
    """Return what was heard, as the saga sees it: others are `elsewhere` to it."""
    heard = happening.heard
    return heard.name if heard.about in {"", *whom} else f"elsewhere: {heard.name}"


def ordered(happening: Happening) -> str:
    """Return the work that was ordered together with the event."""
    number = getattr(happening.event, "order", None)
    for fact in happening.commit:
        if isinstance(fact, OrderIssued) and fact.order == number:
            return str(fact.work.__struct_config__.tag)
    return ""
