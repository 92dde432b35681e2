"""The durable door on a real server: published, kept, answered once on `res`."""

import asyncio

import msgspec
import pytest

from domain.messages import REMEMBER_MS, Code, Refusal
from handlers.bus import BusUnavailableError
from handlers.doors import decode
from handlers.doors.kept import Kept
from handlers.journal.stream import api
from tests.doors.conftest import NOW
from tests.doors.desk import all_taken, count, until

CP = {"environment": "shop", "layer": "cp"}


@pytest.mark.usefixtures("doors")
class TestOpen:
    async def test_it_is_kept_first_and_answered_on_its_own_subject(
        self, publisher, desk, bus, subjects
    ):
        acked = await publisher.publish("layer.restart", CP, Nats_Msg_Id="r-1")
        reply = await publisher.outcome("r-1")

        assert acked["seq"] == 1
        assert (reply["status"], reply["command_id"]) == ("accepted", "r-1")
        assert (desk.asked[0].tenant, desk.asked[0].actor) == ("acme", "acme")
        await all_taken(bus, subjects)

    async def test_outcomes_are_kept_for_who_comes_later(self, publisher, bus, subjects):
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        reply = await publisher.outcome("r-1")
        await all_taken(bus, subjects)

        kept = await bus.jetstream().get_last_msg(
            subjects.stream("RES"), subjects.outcome("acme", "r-1")
        )

        assert msgspec.json.decode(kept.data) == reply
        assert kept.headers["Content-Type"] == "application/json"

    async def test_a_command_without_id_is_named_after_its_place(self, publisher):
        await publisher.publish("layer.restart", CP)

        assert (await publisher.outcome("cmd-1"))["status"] == "accepted"

    async def test_the_same_id_again_gets_the_same_answer(self, publisher):
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        first = await publisher.outcome("r-1")
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        again = await publisher.outcome("r-1", nth=2)

        assert again == first

    async def test_the_same_id_with_another_body_is_told_so(self, publisher):
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        await publisher.outcome("r-1")
        await publisher.publish("layer.restart", CP | {"id": "r-1", "delay_s": 5})

        assert (await publisher.outcome("r-1", nth=2))["code"] == "command.id_reused"

    @pytest.mark.parametrize(
        ("sent", "ask", "code"),
        [
            (("layer.restart", b"{"), "cmd-1", "request.invalid"),
            (("layer.restart", CP | {"id": "p-1", "delay_s": 301}), "p-1", "limits.out_of_range"),
            (("layer.restart", CP | {"id": "p 1"}), "cmd-1", "request.invalid"),
            (("layer.skale", CP), "cmd-1", "command.unknown"),
            (("layer.restart", b"[" * 60_000), "cmd-1", "request.invalid"),
            (("layer.restart", b"x" * 70_000), "cmd-1", "request.too_large"),
            (("layer.restart", CP, "i" * 129), "cmd-1", "request.invalid"),
            (("layer.restart", CP, "i" * 50_000), "cmd-1", "request.invalid"),
            (("layer.skale", CP, "i" * 50_000), "cmd-1", "command.unknown"),
            (("layer.restart", CP, "no id"), "cmd-1", "request.invalid"),
        ],
    )
    async def test_poison_is_answered_once_and_goes(self, publisher, desk, sent, ask, code):
        name, body, *header = sent
        await publisher.publish(name, body, **({"Nats_Msg_Id": header[0]} if header else {}))
        told = await publisher.outcome(ask)

        assert (told["code"], told["command_id"]) == (code, ask)
        await all_taken(publisher.bus, publisher.subjects)
        assert len(publisher.heard) == 1
        assert desk.asked == []

    async def test_a_command_whose_reading_meets_a_mistake_of_ours_is_poison(
        self, publisher, desk, monkeypatch
    ):
        def broken(*_):
            message = "planted"
            raise OverflowError(message)

        with monkeypatch.context() as patched:
            patched.setattr(decode, "make_ask", broken)
            await publisher.publish("layer.restart", CP | {"id": "r-1"})
            told = await publisher.outcome("r-1")
        await publisher.publish("layer.restart", CP | {"id": "r-2"})

        assert told["code"] == "internal"
        assert (await publisher.outcome("r-2"))["status"] == "accepted"
        assert [ask.id for ask in desk.asked] == ["r-2"]
        assert list(desk.own) == [f"dead {publisher.subjects.stream('CMD')}/1"]
        await all_taken(publisher.bus, publisher.subjects)

    async def test_a_tenant_cannot_pass_for_another_or_for_the_operator(self, publisher, desk):
        forged = {"Restow_Tenant": "bravo", "Restow_Actor": "operator"}
        await publisher.publish("layer.restart", CP | {"id": "r-1"}, **forged)
        await publisher.outcome("r-1")

        assert (desk.asked[0].tenant, desk.asked[0].actor) == ("acme", "acme/operator")

    async def test_a_tenant_that_is_no_label_is_refused(self, publisher):
        await publisher.publish("layer.restart", CP | {"id": "r-1"}, tenant="Acme_1")

        assert (await publisher.outcome("r-1", "Acme_1"))["path"] == "header Restow-Tenant"

    async def test_a_command_that_says_no_expiry_may_be_carried_out_for_a_day(
        self, publisher, desk
    ):
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        await publisher.outcome("r-1")

        # The doors' clock stands far in the future, the stream's does not.
        assert desk.asked[0].expires <= NOW + REMEMBER_MS

    async def test_a_refusal_is_an_outcome(self, publisher, desk):
        desk.refusal = Refusal(Code.LAYER_NOT_FOUND, "there is no layer cp")
        await publisher.publish("layer.restart", CP | {"id": "r-1"})

        assert (await publisher.outcome("r-1"))["code"] == "layer.not_found"
        headers = publisher.heard[next(iter(publisher.heard))][0][1]
        assert headers["Content-Type"] == "application/problem+json"

    async def test_a_command_waits_while_the_engine_has_too_much_to_do(self, publisher, desk):
        desk.overloads = 2
        await publisher.publish("layer.restart", CP | {"id": "r-1"})

        assert (await publisher.outcome("r-1"))["status"] == "accepted"
        assert len(desk.asked) == 3

    async def test_many_are_answered_at_once_and_none_twice(self, publisher, desk, bus, subjects):
        desk.gate.clear()
        for number in range(100):
            await publisher.publish("layer.restart", CP | {"id": f"m-{number}"})
        await until(lambda: len(desk.asked) == 100)
        desk.gate.set()
        await all_taken(bus, subjects)
        await publisher.outcome("m-99")

        assert [ask.id for ask in desk.asked] == [f"m-{number}" for number in range(100)]
        assert {len(told) for told in publisher.heard.values()} == {1}
        assert len(publisher.heard) == 100


async def test_a_consumer_of_an_earlier_version_holds_nothing_back(
    publisher, open_doors, bus, subjects
):
    stream = subjects.stream("CMD")
    body = {"stream_name": stream, "config": {"durable_name": "engine", "ack_policy": "explicit"}}
    await api(bus, f"CONSUMER.DURABLE.CREATE.{stream}.engine", msgspec.json.encode(body))
    async with open_doors():
        await publisher.publish("layer.restart", CP | {"id": "r-1"})

        assert (await publisher.outcome("r-1"))["status"] == "accepted"


async def test_what_was_published_while_no_engine_ran_is_answered_later(publisher, open_doors):
    await publisher.publish("layer.restart", CP | {"id": "r-1"})
    async with open_doors():
        assert (await publisher.outcome("r-1"))["status"] == "accepted"


async def test_an_engine_that_stops_leaves_the_command_to_the_next(publisher, open_doors, desk):
    desk.closed = True
    async with open_doors():
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        await asyncio.sleep(0.1)
    desk.closed = False
    async with open_doors():
        assert (await publisher.outcome("r-1"))["status"] == "accepted"

    assert len(desk.asked) == 1


async def test_a_command_that_could_not_be_removed_has_one_outcome(
    publisher, open_doors, desk, monkeypatch
):
    async def lost(*_: object) -> None:
        raise BusUnavailableError

    monkeypatch.setattr(Kept, "remove_before", lost)
    async with open_doors():
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        await until(lambda: len(desk.asked) >= 2)
        monkeypatch.undo()
        await all_taken(publisher.bus, publisher.subjects)

    assert await count(publisher.bus, publisher.subjects.stream("RES")) == 1


async def test_an_outcome_that_cannot_be_stored_is_stored_later_and_once(
    publisher, open_doors, bus, subjects, desk
):
    """The second delivery asks the desk again, which says what it said before."""
    stream = subjects.stream("RES")
    config = (await bus.jetstream().stream_info(stream)).config
    await api(bus, f"STREAM.DELETE.{stream}")
    async with open_doors():
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        await until(lambda: bool(desk.asked))
        await bus.jetstream().add_stream(config)
        await all_taken(bus, subjects)

    kept = await bus.jetstream().get_last_msg(stream, subjects.outcome("acme", "r-1"))
    assert msgspec.json.decode(kept.data)["operation_id"] == "op1"
    assert await count(bus, stream) == 1


async def test_an_outcome_too_large_for_the_bus_is_told_once_without_what_makes_it_so(
    publisher, open_doors, bus, subjects, desk
):
    desk.refusal = Refusal(Code.CAPACITY_INSUFFICIENT, "d" * 2_000_000, facts={"why": ["x"] * 9})
    async with open_doors():
        await publisher.publish("layer.restart", CP | {"id": "r-1"})
        told = await publisher.outcome("r-1")
        await all_taken(bus, subjects)

    assert (told["code"], told["command_id"]) == ("capacity.insufficient", "r-1")
    assert len(told["detail"]) == 10_000
    assert len(desk.asked) == 1
    assert await count(bus, subjects.stream("RES")) == 1


async def test_a_tenant_too_long_for_a_subject_is_told_where_no_tenant_is(
    publisher, open_doors, bus, subjects, desk
):
    async with open_doors():
        await publisher.publish("layer.restart", CP | {"id": "r-1"}, tenant="t" * 3_900)
        told = await publisher.outcome("r-1", tenant="_")
        await all_taken(bus, subjects)

    assert told["path"] == "header Restow-Tenant"
    assert desk.asked == []
