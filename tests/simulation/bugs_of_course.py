"""Planted bugs of the course of operations and migrations."""

from typing import Any

from msgspec.structs import replace

from domain import (
    deadlines,
    moving,
    reactions,
    scaling,
    sequence,
)
from domain import migration as mv
from domain import operation as op
from domain.decider import Decision
from domain.fleet import Fleet
from domain.memory import HandedOver
from domain.messages import MigrationId, number_of
from restow.simulation import agents
from tests.simulation.planting import Patch, plant, then


@plant
def newest_stays(patch: Patch) -> None:
    """The victim of a scale-in is the oldest."""
    right = scaling.choose_victims

    def wrong(fleet: Fleet, staying: list[Any], fewer: int, how: str) -> Any:
        backwards = [staying[0], *reversed(staying[1:])]
        return right(fleet, backwards, fewer, how)

    patch.setattr(scaling, "choose_victims", wrong)


@plant
def delay_from_the_start(patch: Patch) -> None:
    """The delay is counted from the start of the last step, not from healthy."""
    kept: dict[str, Any] = {}

    def start(_fleet: Fleet, fact: Any, at: Any) -> None:
        kept[fact.operation] = at

    def end(fleet: Fleet, fact: Any, _at: Any) -> None:
        old = fleet.operations[fact.operation]
        fleet.put_operation(replace(old, rest_from=kept.get(fact.operation, old.rest_from)))

    then(patch, op.StepStarted, start)
    then(patch, op.StepFinished, end)


@plant
def no_delay(patch: Patch) -> None:
    """The next step begins at once."""

    def end(fleet: Fleet, fact: Any, _at: Any) -> None:
        fleet.put_operation(replace(fleet.operations[fact.operation], rested=True))

    then(patch, op.StepFinished, end)


@plant
def last_one_first(patch: Patch) -> None:
    """Steps are taken in descending order."""
    right = sequence.still_to_do
    patch.setattr(sequence, "still_to_do", lambda one: right(one)[::-1])


@plant
def two_steps_at_once(patch: Patch) -> None:
    """A sequential operation does not wait until its step is over."""
    right = sequence.move

    def wrong(fleet: Fleet, one: Any, now: Any) -> Any:
        return right(fleet, replace(one, steps=()), now)

    patch.setattr(sequence, "move", wrong)


@plant
def pause_is_ignored(patch: Patch) -> None:
    """A paused operation goes on."""
    right = sequence.move
    patch.setattr(
        sequence, "move", lambda fleet, one, now: right(fleet, replace(one, paused=False), now)
    )


@plant
def cancelled_goes_on(patch: Patch) -> None:
    """A cancelled operation begins further steps."""
    patch.setattr(sequence, "still_to_do", lambda one: one.todo)


@plant
def goes_on_after_a_failure(patch: Patch) -> None:
    """An operation that is to stop at a failure goes on."""
    patch.setattr(sequence, "failures", lambda _one: 0)


@plant
def rollback_forgets(patch: Patch) -> None:
    """A rollback gives nobody the old limits again."""
    patch.setattr(sequence, "was_resized", lambda *_: False)
    patch.setattr(sequence, "undone", lambda *_: (), raising=False)


@plant
def surge_container_stays(patch: Patch) -> None:
    """A cancelled or failed operation leaves its surge container behind."""
    patch.setattr(sequence, "retiring", lambda _one: ())


@plant
def unborn_containers_stay(patch: Patch) -> None:
    """A cancelled operation leaves containers that nobody will ever start."""
    patch.setattr(sequence, "never_started", lambda *_: ())


@plant
def queue_is_a_stack(patch: Patch) -> None:
    """Whoever asked last is served first."""

    def turn(fleet: Fleet, fact: Any, _at: Any) -> None:
        layer = fleet.layers[fact.environment, fact.layer]
        newest_first = tuple(sorted(layer.queue, key=number_of, reverse=True))
        fleet.put(fleet.layers, layer.key, replace(layer, queue=newest_first))

    then(patch, op.OperationRequested, turn)


@plant
def nobody_is_woken(patch: Patch) -> None:
    """Who waits looks again only when its time is over."""
    patch.setattr(reactions, "wake", lambda *_: ())


@plant
def deadline_decides(patch: Patch) -> None:
    """A migration that is late is taken for reverted; nobody asks where the container is."""
    right = deadlines.migration_due

    def wrong(fleet: Fleet, name: MigrationId) -> Any:
        one = fleet.migrations[name]
        if one.state is mv.MigrationState.WAITING or one.target is None:
            return right(fleet, name)
        back = mv.MigrationReverted(one.id, one.container, one.source, one.target, "late")
        return Decision((back,))

    patch.setattr(deadlines, "migration_due", wrong)


@plant
def done_means_moved(patch: Patch) -> None:
    """Whether a migration came through is guessed from `done`, not read from where it is."""
    right = moving.settle

    def wrong(fleet: Fleet, name: Any, report: Any) -> Any:
        one = fleet.migrations.get(name)
        located = one.target if one and report.done else report.located
        return right(fleet, name, replace(report, located=located))

    patch.setattr("domain.reports.settle", wrong)


@plant
def call_off_forbids_nothing(patch: Patch) -> None:
    """A source hands over though the migration was called off."""

    def wrong(_agent: Any, migration: Any, *, granted_ms: int, frozen_ms: int) -> Any:
        return HandedOver(migration, granted_ms, frozen_ms)

    patch.setattr(agents, "hand_over", wrong)


@plant
def nobody_is_asked(patch: Patch) -> None:
    """An operation that is to ask between steps does not wait for the answer."""
    right = sequence.next_step

    def wrong(fleet: Fleet, operation: op.Operation, planned: Any, now: Any) -> Any:
        settings = replace(operation.settings, ask=False)
        return right(fleet, replace(operation, settings=settings), planned, now)

    patch.setattr(sequence, "next_step", wrong)


@plant
def all_queue(patch: Patch) -> None:
    """An operation that is refused rather than to wait is put into the queue."""
    right = sequence.begin
    patch.setattr(sequence, "begin", lambda fleet, ask: right(fleet, replace(ask, queue=True)))
