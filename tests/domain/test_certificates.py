"""What a certificate says of small histories, and what the witness says of false ones."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from domain.certificate import Mark, Point, Zero
from domain.certifier import Certifier
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
    OrderId,
)
from domain.migration import (
    MigrationAbandoned,
    MigrationCompleted,
    MigrationGranted,
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
from domain.wire import chain, encode_frame
from domain.witness import Witness, check
from tests.projections.journal import Book

SHOP, APP = EnvironmentId("shop"), LayerName("app")
A, B = HostId("a"), HostId("b")
N1, N2, N3 = (ContainerId(f"node{n}") for n in (1, 2, 3))
OP, MV = OperationId("op1"), MigrationId("mv1")
NEVER = Instant(0)
RESTART = StepKind.RESTART


def placed(name):
    why = Placing("spread", 1, 1)
    number = int(name[4:])
    return ContainerPlaced(name, SHOP, APP, number, A, 1, 1, 1, f"{name}.x", "10.0.0.1", why)


def serves(name):
    return ContainerStarted(name), ContainerHealthChanged(name, healthy=True), ContainerRouted(name)


def layer_of(*names):
    """Return a book in which a layer of these containers serves."""
    book = Book()
    book.say(LayerAdded(SHOP, APP, LayerSpec(name="app")), *(placed(name) for name in names))
    for name in names:
        book.say(*serves(name))
    return book


def asked(operation=OP, **settings):
    return OperationRequested(operation, "restart", SHOP, APP, (), Settings(**settings))


def over(outcome="done", operation=OP):
    return OperationFinished(operation, outcome, 1, 0, 0)


def taken(name, kind=StepKind.RESTART):
    return StepStarted(OP, name, kind), StepAdvanced(OP, name, Stage.WORKING, NEVER)


def done(name, outcome=Outcome.DONE):
    return StepFinished(OP, name, outcome)


def restarted(name):
    well = ContainerHealthChanged(name, healthy=True)
    return *taken(name), ContainerRestarted(name), well, done(name)


def moves(name):
    return (
        MigrationRequested(MV, name, A, B, 30_000, NEVER),
        MigrationGranted(MV, name, A, B, OrderId("or1"), NEVER),
    )


FROZEN = MigrationPhaseReached(MV, "frozen", 900)
MOVED = MigrationCompleted(MV, N1, A, B, 80, 1_000)


def hash_of(frame):
    return chain(encode_frame(frame))


def certificates(book):
    """Return all certificates of a book, each checked by the witness."""
    certifier, witness = Certifier(), Witness()
    made = [one for frame in book.frames for one in certifier.take(frame, hash_of(frame))]
    for frame in book.frames:
        witness.see(frame, hash_of(frame))
    assert [what for one in made for what in witness.check(one)] == []
    return made


def the_only(book):
    (one,) = certificates(book)
    return one


def commits(book):
    return [commit for frame in book.frames for commit in frame.commits]


def test_a_restart_one_by_one_leaves_all_but_one():
    book = layer_of(N1, N2, N3)
    asked_at = book.position + 1
    book.say(asked(), *restarted(N1), *restarted(N2), *restarted(N3), over())

    one = the_only(book)

    assert (one.subject, one.kind, one.outcome) == ("op1", "restart", "done")
    assert (one.environment, one.layer, one.container) == ("shop", "app", "")
    assert (one.requested, one.finished) == (asked_at, book.position)
    assert (one.minimum, one.minimum_at) == (2, asked_at + 2)
    assert [point.operable for point in one.timeline] == [3, 2, 3, 2, 3, 2, 3]
    assert one.timeline[0] == Point(asked_at, 3, 3)
    assert one.zeros == ()
    assert one.holds


def test_it_stands_on_the_frames_that_hold_its_first_and_its_last_event():
    book = layer_of(N1, N2)
    first = book.say(asked())
    book.say(*restarted(N1))
    last = book.say(over())

    marks = tuple(Mark(frame.position, hash_of(frame).hex()) for frame in (first, last))
    assert the_only(book).frames == marks


def test_in_one_frame_it_stands_on_that_frame_alone():
    book = layer_of(N1, N2)
    frame = book.say(asked(), over())
    assert the_only(book).frames == (Mark(frame.position, hash_of(frame).hex()),)


def test_what_is_not_over_has_no_certificate():
    book, certifier = layer_of(N1, N2), Certifier()
    book.say(asked(), *restarted(N1))
    assert [one for f in book.frames for one in certifier.take(f, b"")] == []
    assert certifier.is_open("op1")
    assert not certifier.is_open("op2")


ACCEPTED = ("accepted downtime of op1",)


@pytest.mark.parametrize(
    ("settings", "excuses"),
    [({}, ()), ({"accept_downtime": True}, ACCEPTED), ({"sequential": False}, ACCEPTED)],
)
def test_all_at_once_is_excused_only_where_downtime_was_accepted(settings, excuses):
    book = layer_of(N1, N2)
    book.say(asked(**settings), *taken(N1), *taken(N2))
    fell = book.position
    book.say(done(N1), done(N2), over())

    one = the_only(book)

    assert one.zeros == (Zero(fell, fell, excuses),)
    assert one.holds == bool(excuses)
    assert one.minimum == 0


def test_a_layer_of_one_container_has_none_to_spare():
    book = layer_of(N1)
    book.say(asked(accept_downtime=True), *restarted(N1), over())
    (zero,) = the_only(book).zeros
    assert zero.excuses == ("a layer of one container", *ACCEPTED)


@pytest.mark.parametrize("leaves", [LayerLeaving(SHOP, APP), EnvironmentLeaving(SHOP)])
def test_a_layer_that_is_to_be_removed_may_go(leaves):
    book = layer_of(N1, N2)
    book.say(leaves, asked())
    for name in (N1, N2):
        book.say(*taken(name, StepKind.REMOVE), ContainerRemoved(name), done(name))
    book.say(LayerRemoved(SHOP, APP), over())

    one = the_only(book)

    (zero,) = one.zeros
    assert zero.excuses == ("a layer of one container", "the layer is to be removed")
    assert one.timeline[-1].containers == 0
    assert one.holds


def test_a_failure_beyond_the_spare_is_named():
    book = layer_of(N1, N2)
    book.say(asked(), *taken(N1), ContainerStopped(N2))
    fell = book.position
    book.say(ContainerRestarted(N1), ContainerHealthChanged(N1, healthy=True), done(N1), over())

    one = the_only(book)

    assert one.zeros == (Zero(fell, fell + 2, ("failure of node2",)),)
    assert one.holds


def test_two_failures_are_both_named():
    book = layer_of(N1, N2)
    book.say(asked(), ContainerStopped(N2), ContainerHealthChanged(N1, healthy=False), over())
    (zero,) = the_only(book).zeros
    assert zero.excuses == ("failure of node1", "failure of node2")


def test_a_step_that_takes_the_last_one_after_a_failure_is_not_excused():
    book = layer_of(N1, N2)
    book.say(ContainerStopped(N2), asked(), *taken(N1), done(N1), over())

    one = the_only(book)

    assert [zero.excuses for zero in one.zeros] == [()]
    assert not one.holds


def test_a_failure_between_the_word_and_the_freeze_is_beyond_the_spare():
    book = layer_of(N1, N2)
    book.say(*moves(N1), ContainerStopped(N2), FROZEN)
    fell = book.position
    book.say(MOVED)

    one = the_only(book)

    assert (one.subject, one.kind, one.container, one.outcome) == (
        *("mv1", "migrate", "node1", "completed"),
    )
    assert one.zeros == (Zero(fell, fell, ("failure of node2",)),)


def test_a_freeze_of_the_last_one_is_not_excused_by_what_failed_before():
    book = layer_of(N1, N2)
    book.say(ContainerStopped(N2), *moves(N1), FROZEN, MOVED)
    assert not the_only(book).holds


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (MOVED, "completed"),
        (MigrationReverted(MV, N1, A, B, "too slow"), "reverted"),
        (MigrationAbandoned(MV, N1, "no room"), "abandoned"),
    ],
)
def test_a_migration_freezes_its_container_until_it_is_over(end, outcome):
    book = layer_of(N1, N2)
    book.say(*moves(N1), FROZEN, end)
    one = the_only(book)
    assert one.outcome == outcome
    assert [point.operable for point in one.timeline] == [2, 1, 2]


def test_what_resumed_serves_before_the_migration_is_over():
    book = layer_of(N1, N2)
    book.say(*moves(N1), FROZEN, MigrationPhaseReached(MV, "resumed", 950))
    resumed = book.position
    book.say(MOVED)
    assert the_only(book).timeline[-1] == Point(resumed, 2, 2)


def test_an_answer_that_comes_after_its_step_gave_up_is_named_as_such():
    book = layer_of(N1, N2)
    book.say(asked(), *taken(N1), done(N1, Outcome.FAILED), *taken(N2), ContainerRestarted(N1))
    fell = book.position
    book.say(done(N2), over("failed"))
    assert the_only(book).zeros == (Zero(fell, fell, ("late answer about node1",)),)


def test_a_removal_that_comes_after_its_step_gave_up_is_named_as_such():
    book = layer_of(N1, N2)
    book.say(asked(), *taken(N1, StepKind.REMOVE), done(N1, Outcome.FAILED), *taken(N2))
    book.say(ContainerRemoved(N1), done(N2), over("failed"))
    (zero, *_) = the_only(book).zeros
    assert "late answer about node1" in zero.excuses


def test_what_did_not_serve_when_its_step_began_was_not_taken_away():
    book = layer_of(N1, N2)
    book.say(ContainerHealthChanged(N1, healthy=False), asked(), StepStarted(OP, N1, RESTART))
    book.say(ContainerHealthChanged(N1, healthy=True), ContainerStopped(N2))
    book.say(StepAdvanced(OP, N1, Stage.WORKING, NEVER))
    fell = book.position
    book.say(ContainerRestarted(N1), ContainerHealthChanged(N1, healthy=True), done(N1), over())

    (zero,) = the_only(book).zeros

    excuses = ("failure of node2", "node1 did not serve when it was taken")
    assert (zero.since, zero.excuses) == (fell, excuses)


def test_what_failed_before_a_step_puts_it_right_failed_by_itself():
    book = layer_of(N1, N2)
    book.say(*moves(N1), ContainerHealthChanged(N2, healthy=False), asked(), *taken(N2), FROZEN)
    fell = book.position
    book.say(done(N2), over(), MOVED)

    for one in certificates(book):
        assert one.zeros[0].since == fell
        assert one.zeros[0].excuses == ("failure of node2",)


@pytest.mark.parametrize("accepted", [True, False])
def test_who_accepted_a_downtime_removed_the_one_that_served_beside_a_move(accepted):
    book = layer_of(N1, N2)
    book.say(placed(N3), asked(accept_downtime=accepted), *moves(N1))
    book.say(*taken(N2, StepKind.REMOVE), ContainerRemoved(N2), done(N2), over(), FROZEN)
    fell = book.position
    book.say(MOVED)

    (zero,) = next(one for one in certificates(book) if one.subject == MV).zeros

    excuses = ("accepted downtime of op1",) if accepted else ()
    assert (zero.since, zero.excuses) == (fell, excuses)


def test_a_removal_of_before_a_move_is_no_excuse_for_it():
    book = layer_of(N1, N2)
    book.say(placed(N3), asked(accept_downtime=True))
    book.say(*taken(N2, StepKind.REMOVE), ContainerRemoved(N2), done(N2), *moves(N1), over())
    book.say(FROZEN, MOVED)

    (zero,) = next(one for one in certificates(book) if one.subject == MV).zeros

    assert zero.excuses == ()


def test_the_only_container_stays_the_only_one_for_what_had_begun_with_it():
    book = layer_of(N1)
    book.say(*moves(N1), placed(N2), FROZEN)
    fell = book.position
    book.say(MOVED)
    assert the_only(book).zeros == (Zero(fell, fell, ("a layer of one container",)),)


def test_the_only_container_that_serves_is_not_the_only_one():
    book = layer_of(N1)
    book.say(placed(N2), *moves(N1), FROZEN, MOVED)
    assert not the_only(book).holds


def test_a_step_that_ends_beside_a_migration_leaves_it_what_it_has():
    book = layer_of(N1, N2)
    book.say(ContainerUnrouted(N1), ContainerStopped(N2), asked())
    book.say(StepStarted(OP, N1, StepKind.RESIZE), *moves(N1), ContainerRouted(N1), done(N1))
    book.say(over(), FROZEN, MOVED)

    *_, zero = certificates(book)[-1].zeros

    assert zero.excuses == ("node1 did not serve when it was taken",)


def test_a_container_that_moves_cold_is_not_down_by_itself():
    book = layer_of(N1, N2)
    _, granted = moves(N1)
    book.say(moves(N1)[0], replace(granted, cold=True), ContainerStopped(N1), ContainerStopped(N2))
    fell = book.position
    book.say(ContainerStarted(N1), MOVED, ContainerHealthChanged(N1, healthy=True))

    (zero,) = the_only(book).zeros

    assert (zero.since, zero.excuses) == (fell, ("failure of node2",))


def test_what_comes_true_of_a_container_that_nobody_had_is_not_excused():
    book = layer_of(N1, N2)
    book.say(asked(), *taken(N1), done(N1), *taken(N2), ContainerUnrouted(N1), done(N2), over())
    assert not the_only(book).holds


def test_out_of_dns_is_not_operable_whatever_the_step():
    book = layer_of(N1, N2)
    book.say(asked(), StepStarted(OP, N1, StepKind.RESIZE), ContainerUnrouted(N1))
    book.say(ContainerRouted(N1), done(N1), over())
    assert [point.operable for point in the_only(book).timeline] == [2, 1, 2]


def test_a_resize_that_stays_in_dns_takes_nothing():
    book = layer_of(N1, N2)
    book.say(asked(), *taken(N1, StepKind.RESIZE), done(N1), over())
    assert [point.operable for point in the_only(book).timeline] == [2]


def test_the_answer_to_a_start_that_comes_late_takes_nothing_back():
    book = layer_of(N1, N2)
    book.say(asked(), ContainerStarted(N1), over())
    assert [point.operable for point in the_only(book).timeline] == [2]


def test_the_first_start_begins_at_none_because_nothing_had_served():
    book = Book()
    book.say(LayerAdded(SHOP, APP, LayerSpec(name="app")), placed(N1), placed(N2), asked())
    book.say(*serves(N1), *serves(N2), over())
    one = the_only(book)
    assert one.zeros == (Zero(1, 6, ("nothing of the layer had served yet",)),)


def test_a_fall_to_none_before_it_was_asked_for_is_told_with_its_own_reason():
    book = layer_of(N1)
    book.say(ContainerStopped(N1))
    fell = book.position
    book.say(asked(), over())
    (zero,) = the_only(book).zeros
    assert zero == Zero(fell, book.position, ("a layer of one container", "failure of node1"))


def test_two_that_go_on_at_once_each_have_their_own_positions():
    book = layer_of(N1, N2, N3)
    book.say(asked(), *moves(N1), *taken(N2), FROZEN, MOVED)
    moved = book.position
    book.say(done(N2), over())

    migration, operation = certificates(book)

    assert (migration.subject, migration.finished) == ("mv1", moved)
    assert [point.operable for point in migration.timeline] == [3, 2, 1, 2]
    assert [point.operable for point in operation.timeline] == [3, 2, 1, 2, 3]


def test_a_new_layer_of_the_same_name_begins_anew():
    book = layer_of(N1)
    book.say(LayerLeaving(SHOP, APP), ContainerRemoved(N1), LayerRemoved(SHOP, APP))
    added = book.position + 1
    book.say(LayerAdded(SHOP, APP, LayerSpec(name="app")), placed(N2), asked(), over())
    one = the_only(book)
    assert one.timeline == (Point(added + 2, 0, 1),)
    assert one.zeros[0].since == added


# False certificates


def a_book():
    book = layer_of(N1, N2)
    book.say(asked(sequential=False), *taken(N1), *taken(N2), done(N1), done(N2), over())
    return book


def signed(certificate):
    """Return a false certificate with the digest that it would have."""
    bare = replace(certificate, digest="")
    return replace(bare, digest=sha256(msgspec.msgpack.encode(bare)).hexdigest())


FALSE: dict[str, dict[str, Any]] = {
    "kind": {"kind": "limits"},
    "layer": {"layer": "sql"},
    "container": {"container": "node1"},
    "outcome": {"outcome": "failed"},
    "positions": {"finished": 99},
    "timeline": {"timeline": (Point(10, 2, 2),)},
    "minimum": {"minimum": 1},
    "zeros": {"zeros": ()},
    "history": {"history": "00"},
    "frames": {"frames": ()},
}


@pytest.mark.parametrize("what", FALSE)
def test_a_false_word_is_noticed_though_its_digest_is_right(what):
    book = a_book()
    false = signed(replace(the_only(book), **FALSE[what]))
    witness = Witness()
    for frame in book.frames:
        witness.see(frame, hash_of(frame))
    assert f"op1: {what}: it says" in " ".join(witness.check(false))


def test_a_certificate_that_was_altered_does_not_have_its_digest():
    book = a_book()
    false = replace(the_only(book), minimum=1)
    assert "op1: its digest is not that of what it says" in check(false, commits(book))


def test_a_history_without_its_end_is_not_its_history():
    book = a_book()
    one = the_only(book)
    assert check(one, commits(book)[:-1]) == ("op1: the history has no end of it",)
    assert check(one, ()) == ("op1: the history has no end of it",)


def test_a_version_that_does_not_follow_is_noticed():
    book = a_book()
    one = the_only(book)
    said = check(one, [commits(book)[0], *commits(book)])
    assert any("version 1 follows" in what for what in said)


def test_what_comes_after_it_is_not_its_affair():
    book = a_book()
    one = the_only(book)
    book.say(ContainerStopped(N1), ContainerStopped(N2))
    assert check(one, commits(book)) == ()
