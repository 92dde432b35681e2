"""What strangers read: one CloudEvent an event, with nothing of how it is stored."""

import msgspec

from domain.facts import tag
from domain.host import HostCordoned, HostRegistered, HostUncordoned
from domain.messages import ContainerId, HostId, Instant, MigrationId, OperationId, OrderId
from domain.operation import OperationStarted
from domain.orders import CallOff, OrderIssued
from domain.subjects import Subjects
from projections.cloudevents import data, public_event, timestamp
from projections.feed import placed
from tests.projections.journal import Book

NORTH = HostId("north")
PLENTY = 100_000


def body_of(frame, body_max=PLENTY, index=0):
    at = list(placed(frame))[index]
    event = public_event(Subjects("r1"), at, body_max)
    return event, msgspec.json.decode(event.body)


def test_an_event_has_every_attribute_that_was_promised():
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    event, body = body_of(book.say(HostCordoned(NORTH, "a fan is loud"), ask="cordon-it"))
    assert event.subject == "r1.evt.host.north"
    assert event.id == "r1.2"
    assert body == {
        "specversion": "1.0",
        "id": "r1.2",
        "type": "io.restow.host.cordoned.v1",
        "source": "/restow/r1",
        "subject": "host/north",
        "time": "2023-11-14T22:13:22.000Z",
        "datacontenttype": "application/json",
        "dataschema": "restow:schema/host.cordoned/1",
        "aggversion": 2,
        "position": 2,
        "causationid": "cordon-it",
        "correlationid": "cordon-it",
        "actor": "operator",
        "data": {"host": "north", "reason": "a fan is loud"},
    }


def test_attribute_names_are_those_that_cloudevents_allows():
    _, body = body_of(Book().say(HostUncordoned(NORTH)), body_max=1)
    assert all(name.isalnum() and name == name.lower() for name in body)


def test_a_fact_without_any_value_but_its_tag_is_an_empty_object():
    class Silence(msgspec.Struct, tag="silence", tag_field="t"):
        pass

    assert bytes(data(Silence())) == b"{}"  # type: ignore[arg-type]


def test_what_belongs_to_an_operation_says_so():
    _, body = body_of(Book().say(OperationStarted(OperationId("op3"))))
    assert body["correlationid"] == "op3"


def test_an_order_belongs_to_the_saga_that_gave_it():
    work = CallOff(MigrationId("mv5"))
    order = OrderIssued(OrderId("or1"), NORTH, ContainerId("node1"), work, saga="mv5")
    _, body = body_of(Book().say(order))
    assert body["correlationid"] == "mv5"
    assert body["data"]["work"] == {"work": "call-off", "migration": "mv5"}
    assert "t" not in body["data"]


def test_a_commit_with_a_cause_correlates_to_it():
    book = Book()
    commit = msgspec.structs.replace(book.commit(HostUncordoned(NORTH)), cause="why")
    _, body = body_of(book.frame(commit))
    assert body["correlationid"] == "why"


def test_what_a_saga_asked_is_named_after_what_it_heard():
    book = Book()
    commit = book.commit(HostUncordoned(NORTH), ask="a")
    event = msgspec.structs.replace(commit.events[0], asked="/0/1")
    _, body = body_of(book.frame(msgspec.structs.replace(commit, events=(event,))))
    assert body["causationid"] == "a/0/1"


def test_a_body_that_the_bus_cannot_carry_is_cut_to_its_envelope_and_says_so():
    reason = "loud " * 100
    event, body = body_of(Book().say(HostCordoned(NORTH, reason)), body_max=450)
    assert len(event.body) <= 450
    assert body["data"] == {}
    assert body["dataomitted"] > len(reason)


def test_a_time_keeps_every_millisecond():
    for ms in range(1_000):
        assert timestamp(Instant(1_700_000_000_000 + ms)) == f"2023-11-14T22:13:20.{ms:03d}Z"


def test_the_schema_of_an_event_is_named_after_its_tag():
    fact = HostUncordoned(NORTH)
    _, body = body_of(Book().say(fact))
    assert body["dataschema"] == f"restow:schema/{tag(fact)}/1"
