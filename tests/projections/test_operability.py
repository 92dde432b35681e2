"""The certificate of a layer: what its events say of how many containers could serve."""

import pytest

from domain.container import (
    ContainerHealthChanged,
    ContainerPlaced,
    ContainerRemoved,
    ContainerRestarted,
    ContainerRouted,
    ContainerStarted,
    ContainerStopped,
    ContainerUnrouted,
    Placing,
)
from domain.environment import EnvironmentLeaving, LayerAdded, LayerLeaving, LayerRemoved, LayerSpec
from domain.messages import (
    ContainerId,
    EnvironmentId,
    HostId,
    Instant,
    LayerName,
    MigrationId,
    OperationId,
)
from domain.migration import (
    MigrationCompleted,
    MigrationPhaseReached,
    MigrationRequested,
    MigrationReverted,
)
from domain.operation import (
    OperationFinished,
    OperationRequested,
    Outcome,
    Settings,
    Stage,
    StepAdvanced,
    StepFinished,
    StepKind,
    StepStarted,
)
from projections.operability import Operability
from tests.projections.journal import Book

SHOP = EnvironmentId("shop")
APP = LayerName("app")
A, B = HostId("a"), HostId("b")
N1, N2, N3 = (ContainerId(f"node{n}") for n in (1, 2, 3))
OP = OperationId("op1")
MV = MigrationId("mv1")
NEVER = Instant(0)


def placed(name):
    number = int(name[4:])
    return ContainerPlaced(
        name, SHOP, APP, number, A, 1, 1, 1, f"{name}.x", "10.0.0.1", Placing("spread", 1, 1)
    )


def serves(name):
    return ContainerStarted(name), ContainerHealthChanged(name, healthy=True), ContainerRouted(name)


def layer_of(*names):
    """Return a book in which a layer of these containers serves."""
    book = Book()
    book.say(LayerAdded(SHOP, APP, LayerSpec(name="app")), *(placed(name) for name in names))
    for name in names:
        book.say(*serves(name))
    return book


def asked(**settings):
    return OperationRequested(OP, "restart", SHOP, APP, (), Settings(**settings))


def step(name, stage, kind=StepKind.RESTART):
    return StepStarted(OP, name, kind), StepAdvanced(OP, name, stage, NEVER)


def restarted(name):
    """Return the facts of a whole restart of one container that goes well."""
    return (
        *step(name, Stage.UNROUTING),
        ContainerUnrouted(name),
        StepAdvanced(OP, name, Stage.WORKING, NEVER),
        ContainerRestarted(name),
        StepAdvanced(OP, name, Stage.CHECKING, NEVER),
        ContainerHealthChanged(name, healthy=True),
        StepAdvanced(OP, name, Stage.ROUTING, NEVER),
        ContainerRouted(name),
        StepFinished(OP, name, Outcome.DONE),
    )


def fold(book):
    operability = Operability()
    for frame in book.frames:
        operability.take(frame)
    return operability


def line(book):
    (only,) = fold(book).lines()
    return only


def test_a_layer_counts_from_when_first_all_its_containers_served():
    book = layer_of(N1, N2)
    book.say(*restarted(N1))
    told = line(book)
    assert told.since == 9
    assert told.timeline[0] == (9, 2)


def test_until_all_have_served_nothing_is_counted():
    book = Book()
    book.say(LayerAdded(SHOP, APP, LayerSpec(name="app")), placed(N1), placed(N2))
    book.say(*serves(N1))
    told = line(book)
    assert (told.since, told.minimum, told.timeline) == (0, 0, ())
    assert told.operable == 1
    assert told.never_zero


def test_a_restart_one_by_one_leaves_all_but_one():
    book = layer_of(N1, N2, N3)
    book.say(asked(), *restarted(N1), *restarted(N2), *restarted(N3))
    told = line(book)
    assert (told.minimum, told.unexcused, told.operable) == (2, 2, 3)
    assert [count for _, count in told.timeline] == [3, 2, 3, 2, 3, 2, 3]
    assert told.never_zero


def test_the_minimum_says_where_it_was_first_reached_and_of_how_many():
    book = layer_of(N1, N2)
    before = book.position
    book.say(asked(), *restarted(N1))
    told = line(book)
    assert (told.minimum_at, told.of) == (before + 3, 2)


def test_a_restart_of_all_at_once_that_nobody_accepted_is_found():
    book = layer_of(N1, N2)
    book.say(asked(), *step(N1, Stage.WORKING), *step(N2, Stage.WORKING))
    told = line(book)
    assert (told.minimum, told.unexcused) == (0, 0)
    assert told.excuses == ()
    assert not told.never_zero


@pytest.mark.parametrize("settings", [{"sequential": False}, {"accept_downtime": True}])
def test_downtime_that_was_accepted_is_told_and_excused(settings):
    book = layer_of(N1, N2)
    book.say(asked(**settings), *step(N1, Stage.WORKING), *step(N2, Stage.WORKING))
    told = line(book)
    assert (told.minimum, told.unexcused, told.excuses) == (0, 2, ("op1",))
    assert told.never_zero


def test_while_an_accepted_operation_keeps_containers_it_excuses_what_else_falls_out():
    book = layer_of(N1, N2)
    book.say(asked(accept_downtime=True), *step(N1, Stage.WORKING))
    book.say(
        MigrationRequested(MV, N2, A, B, 30_000, NEVER), MigrationPhaseReached(MV, "frozen", 5)
    )
    told = line(book)
    assert (told.minimum, told.unexcused, told.excuses) == (0, 2, ("op1",))


def test_an_accepted_operation_that_keeps_no_container_excuses_nothing():
    book = layer_of(N1, N2)
    book.say(asked(accept_downtime=True), *step(N1, Stage.WORKING, StepKind.RESIZE))
    book.say(ContainerUnrouted(N1))
    book.say(
        MigrationRequested(MV, N2, A, B, 30_000, NEVER), MigrationPhaseReached(MV, "frozen", 5)
    )
    assert not line(book).never_zero


def test_an_operation_that_is_over_excuses_nothing_more():
    book = layer_of(N1, N2)
    book.say(asked(sequential=False), OperationFinished(OP, "done", 0, 0, 0))
    book.say(*step(N1, Stage.WORKING), *step(N2, Stage.WORKING))
    assert not line(book).never_zero


def test_a_step_counts_from_its_first_intrusive_stage_until_it_is_over():
    book = layer_of(N1, N2)
    for stage, operable in (
        (Stage.OPENING, 2),
        (Stage.UNROUTING, 1),
        (Stage.DRAINING, 1),
        (Stage.CHECKING, 1),
    ):
        book.say(*step(N1, stage)) if stage is Stage.OPENING else book.say(
            StepAdvanced(OP, N1, stage, NEVER)
        )
        assert line(book).operable == operable
    book.say(StepFinished(OP, N1, Outcome.FAILED))
    assert line(book).operable == 2


@pytest.mark.parametrize("kind", [StepKind.RESIZE, StepKind.START])
def test_a_step_that_is_not_intrusive_takes_nothing_away(kind):
    book = layer_of(N1, N2)
    book.say(asked(), *step(N1, Stage.WORKING, kind))
    assert line(book).operable == 2


def test_the_answer_to_a_start_that_comes_late_takes_nothing_back():
    """Its host had said before that it runs and is healthy."""
    book = layer_of(N1, N2)
    book.say(ContainerStarted(N1))
    assert line(book).operable == 2


def test_a_container_out_of_dns_is_not_operable_whatever_the_step():
    book = layer_of(N1, N2)
    book.say(asked(), *step(N1, Stage.UNROUTING, StepKind.RESIZE), ContainerUnrouted(N1))
    assert line(book).operable == 1


@pytest.mark.parametrize(
    "end",
    [
        MigrationPhaseReached(MV, "resumed", 80),
        MigrationCompleted(MV, N1, A, B, 70, 80),
        MigrationReverted(MV, N1, A, B, "too slow"),
    ],
)
def test_a_migration_takes_the_container_away_while_it_is_frozen(end):
    book = layer_of(N1, N2)
    book.say(MigrationRequested(MV, N1, A, B, 30_000, NEVER))
    book.say(MigrationPhaseReached(MV, "copying", 5))
    assert line(book).operable == 2
    book.say(MigrationPhaseReached(MV, "frozen", 10))
    assert line(book).operable == 1
    book.say(end)
    assert line(book).operable == 2


def test_failures_are_told_and_are_nobodys_intention():
    book = layer_of(N1, N2)
    book.say(ContainerStopped(N1), ContainerHealthChanged(N2, healthy=False))
    told = line(book)
    assert (told.minimum, told.unexcused) == (0, 2)
    assert told.excuses == ("failure of node1", "failure of node2")


def test_taking_the_last_one_when_the_other_has_failed_is_found():
    book = layer_of(N1, N2)
    book.say(ContainerStopped(N1))
    book.say(asked(), *step(N2, Stage.WORKING))
    assert not line(book).never_zero


def test_a_layer_of_one_container_has_nothing_to_spare():
    book = layer_of(N1)
    book.say(
        MigrationRequested(MV, N1, A, B, 30_000, NEVER), MigrationPhaseReached(MV, "frozen", 5)
    )
    told = line(book)
    assert (told.minimum, told.unexcused) == (0, 1)
    assert told.excuses == ("a layer of one container",)


def test_a_container_removed_while_it_served_counts_as_a_fall():
    book = layer_of(N1, N2)
    book.say(ContainerRemoved(N1))
    told = line(book)
    assert (told.minimum, told.unexcused, told.containers) == (1, 1, 1)


@pytest.mark.parametrize("leaving", [LayerLeaving(SHOP, APP), EnvironmentLeaving(SHOP)])
def test_a_layer_that_is_to_be_removed_may_fall_and_stays_known(leaving):
    book = layer_of(N1, N2)
    book.say(leaving, ContainerRemoved(N1), ContainerRemoved(N2), LayerRemoved(SHOP, APP))
    told = line(book)
    assert (told.minimum, told.unexcused, told.excuses) == (0, 2, ("leaving",))


def test_a_layer_added_again_under_its_name_begins_anew():
    book = layer_of(N1, N2)
    book.say(LayerLeaving(SHOP, APP), ContainerRemoved(N1), ContainerRemoved(N2))
    book.say(LayerRemoved(SHOP, APP), LayerAdded(SHOP, APP, LayerSpec(name="app")), placed(N3))
    book.say(*serves(N3))
    old, new = fold(book).lines()
    assert (old.containers, new.containers, new.minimum) == (0, 1, 1)
