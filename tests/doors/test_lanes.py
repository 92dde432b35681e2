"""The durable door, tenant by tenant: order, limits, suspects, letters; on a real server."""

import asyncio

import pytest

from domain.dead import KeepDead, Letter, LetterState, SettleDead
from domain.messages import AskId, Code, DeadId, Instant, Refusal, Tenant
from handlers.doors.excess import AGAIN_MS
from handlers.doors.lane import TRIES_MAX
from tests.doors.desk import all_taken, count, until
from tests.doors.test_durable import CP


async def publish_all(publisher, names, tenant="acme"):
    for name in names:
        await publisher.publish("layer.restart", CP | {"id": name}, tenant=tenant)


async def test_what_must_wait_stays_in_the_stream_in_its_order(publisher, open_doors, desk):
    """Turned away again and again in the middle: nobody overtakes, nothing is lost."""
    names = [f"w-{number}" for number in range(30)]
    async with open_doors():
        desk.overloads = 5
        await publish_all(publisher, names)
        await publisher.outcome("w-29")
        await all_taken(publisher.bus, publisher.subjects)

    assert list(desk.answers) == names


async def test_a_tenant_that_must_wait_holds_nobody_up(publisher, open_doors, desk):
    desk.limited = {"acme"}
    async with open_doors():
        await publish_all(publisher, [f"a-{number}" for number in range(50)])
        await publish_all(publisher, ["b-1"], tenant="bravo")

        assert (await publisher.outcome("b-1", "bravo"))["status"] == "accepted"
        assert await count(publisher.bus, publisher.subjects.stream("CMD")) >= 50
        desk.limited.clear()
        await all_taken(publisher.bus, publisher.subjects)

    assert list(desk.answers) == ["b-1", *(f"a-{number}" for number in range(50))]


async def test_what_is_kept_beyond_the_limit_is_refused_and_what_was_kept_before_stays(
    publisher, open_doors, desk
):
    desk.limited, desk.kept = {"acme"}, 20
    before = [f"a-{number}" for number in range(21)]
    async with open_doors():
        await publish_all(publisher, before)
        await asyncio.sleep(1.2)  # it has been seen that too many are kept
        await publish_all(publisher, ["late"])
        told = await publisher.outcome("late")
        desk.limited.clear()
        await all_taken(publisher.bus, publisher.subjects)

    assert (told["code"], told["retry_after_ms"]) == ("rate.limited", AGAIN_MS)
    assert told["facts"]["limit"] == "kept"
    assert list(desk.answers) == before


async def test_what_is_no_command_costs_its_tenant_and_becomes_a_letter(
    publisher, open_doors, desk
):
    async with open_doors():
        await publisher.publish("layer.restart", b"{", Nats_Msg_Id="p-1")
        told = await publisher.outcome("p-1")

    (letter,) = (one for one in desk.own.values() if isinstance(one, KeepDead))
    assert told["code"] == "request.invalid"
    assert (letter.tenant, letter.ask, letter.body, letter.bytes) == ("acme", "p-1", b"{", 1)
    assert desk.charged == ["acme"]


async def test_a_command_that_met_a_mistake_becomes_a_letter(publisher, open_doors, desk):
    desk.refusal = Refusal(Code.INTERNAL, "a mistake")
    async with open_doors():
        await publisher.publish("layer.restart", CP | {"id": "p-1"})
        told = await publisher.outcome("p-1")

    (letter,) = (one for one in desk.own.values() if isinstance(one, KeepDead))
    assert (told["code"], letter.ask, letter.code) == ("internal", "p-1", "internal")


async def test_a_command_that_ended_engines_is_given_up_and_those_behind_it_go_on(
    publisher, open_doors, desk, subjects
):
    await publish_all(publisher, ["fatal", "next"])
    origin = f"{subjects.stream('CMD')}/1"
    for number in range(1, TRIES_MAX + 1):
        desk.own[f"try {origin} {number}"] = None
    async with open_doors():
        given_up = await publisher.outcome("fatal")
        went_on = await publisher.outcome("next")

    assert [ask.id for ask in desk.given_up] == ["fatal"]
    assert (given_up["code"], went_on["status"]) == ("internal", "accepted")


async def test_what_an_engine_may_have_died_of_is_noted_first_and_asked_alone(
    publisher, open_doors, desk
):
    desk.gate.clear()
    await publish_all(publisher, ["s-1", "s-2"])
    async with open_doors():
        await until(lambda: len(desk.asked) == 1)
        await asyncio.sleep(0.1)
        alone = [ask.id for ask in desk.asked]
        noted = [name for name in desk.own if name.startswith("try ")]
        desk.gate.set()
        await publisher.outcome("s-2")

    assert alone == ["s-1"]
    assert len(noted) == 1


def letter(body: bytes, state: LetterState = LetterState.RETRYING) -> Letter:
    return Letter(
        DeadId("dl1"),
        "CMD/1",
        Tenant("acme"),
        AskId("first"),
        "layer.restart",
        "internal",
        "",
        body,
        len(body),
        {"Nats-Msg-Id": "first"},
        Instant(0),
        state,
        2,
    )


RESTART = b'{"environment":"shop","layer":"cp","id":"first"}'


@pytest.mark.parametrize(
    ("body", "ended"), [(RESTART, ("", False)), (b"{", ("request.invalid", True))]
)
async def test_a_retry_is_asked_as_its_tenant_and_told_under_the_first_id(
    publisher, open_doors, desk, body, ended
):
    async with open_doors():
        desk.letters[DeadId("dl1")] = letter(body)
        told = await publisher.outcome("first")
        await until(lambda: "settle dl1 2" in desk.own)

    settled = desk.own["settle dl1 2"]
    assert isinstance(settled, SettleDead)
    assert (settled.code, settled.poison) == ended
    assert told["command_id"] == "first"
    asked = [(ask.id, ask.tenant) for ask in desk.asked]
    assert asked == ([] if ended[1] else [("dl1 2", "acme")])


async def test_a_retry_that_was_under_way_when_an_engine_ended_is_not_tried_again(
    publisher, open_doors, desk
):
    desk.letters[DeadId("dl1")] = letter(RESTART)
    async with open_doors():
        told = await publisher.outcome("first")

    assert told["code"] == "internal"
    assert [ask.id for ask in desk.given_up] == ["dl1 2"]
    assert desk.asked == []
