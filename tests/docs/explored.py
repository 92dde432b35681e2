"""What all searches of the sagas come to, for the tests that ask: gone through once a process.

The diagrams are made of the same searches, so this looks on while they are.
"""

from collections.abc import Iterator
from functools import cache

import pytest

from domain.facts import tag
from domain.fleet import Fleet
from domain.invariants import broken
from domain.operation import Operation, OperationState, StepAdvanced, StepFinished
from domain.orders import ReportOrder
from restow import stories
from restow.exploring import Happening, Search, explore


class Explored:
    """What was found. No fleet is kept."""

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.broken: list[tuple[str, ...]] = []
        self.stuck: list[Operation] = []
        self.strays: list[Happening] = []

    def explore(self, search: Search) -> Iterator[Happening]:
        """Give everything that can happen, and look at it."""
        for happening in explore(search):
            self._look(happening)
            yield happening

    def _look(self, happening: Happening) -> None:
        self.tags.add(tag(happening.event))
        if moved_by_another_answer(happening):
            self.strays.append(happening)
        if happening.event is happening.commit[-1]:
            wrong = broken(happening.after)
            self.broken += [wrong] if wrong else []
            self.stuck += stuck(happening.after)


@cache
def explored() -> Explored:
    """Go every way of the sagas; whoever makes diagrams afterwards has what they need."""
    found = Explored()
    stories.transitions.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stories, "explore", found.explore)
        stories.transitions()
    return found


def stuck(fleet: Fleet) -> list[Operation]:
    """Return operations that are not over, and at which nobody will look again."""
    return [
        operation
        for operation in fleet.operations.values()
        if not operation.finished_at and not operation.paused
        if operation.state not in {OperationState.ASKING, OperationState.QUEUED}
        if operation.id not in fleet.deadlines
    ]


def moved_by_another_answer(happening: Happening) -> bool:
    """Say whether a step that waits for one order was moved by the answer to another."""
    event, heard = happening.event, happening.heard.command
    if not isinstance(event, StepAdvanced | StepFinished) or not isinstance(heard, ReportOrder):
        return False
    step = happening.before.operations[event.operation].step(event.container)
    own = happening.heard.about == event.container and event.container in happening.after.containers
    return own and step is not None and step.order not in {None, heard.order}
