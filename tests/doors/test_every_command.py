"""Every public command through both doors on a real server, with the engine's own desk behind them.

What is a tenant's is done once whichever door it comes by: by the second one, under the same id,
it gets the answer of the first. What is for operators comes by the typed door alone.
"""

import itertools
from contextlib import asynccontextmanager

import msgspec
import pytest
from msgspec.structs import replace

from domain.contracts import Reply
from domain.contracts.catalogue import COMMANDS
from domain.messages import Code, PublicCommand, Tenant
from domain.problems import Problem
from domain.tenancy import OPERATORS_ONLY
from handlers.doors import serve
from restow.client import Client, understood
from tests.domain.test_twice import DONE, Shelf, fleet, name_of

ACME = Tenant("acme")
NAMES = {type(command): str(command.__struct_config__.tag) for command in DONE}
"""By what name a command is asked for."""


def is_for_operators(command: PublicCommand) -> bool:
    return NAMES[type(command)].startswith(OPERATORS_ONLY)


OPERATORS = [command for command in DONE if is_for_operators(command)]
TENANTS = [command for command in DONE if not is_for_operators(command)]


def body_of(command: PublicCommand) -> dict[str, object]:
    """Return what a client says to have this done, under no id yet."""
    said = msgspec.json.decode(msgspec.json.encode(command))
    return {key: value for key, value in said.items() if value is not None and key != "t"}


@asynccontextmanager
async def region_with(command, bus, subjects):
    """Open both doors to a fleet of acme's in which it can be done; time stands still there."""
    scene = fleet(command)
    for name, home in list(scene.fleet.environments.items()):
        scene.fleet.put(scene.fleet.environments, name, replace(home, tenant=ACME))
    shelf = Shelf(scene)
    numbers = itertools.count(1)
    doors = serve(
        bus,
        subjects,
        shelf.desk,
        new_id=lambda: f"new-{next(numbers)}",
        now=lambda: scene.world.now,
    )
    async with shelf.deciding(), doors:
        yield shelf


def test_there_is_one_of_each():
    assert set(NAMES.values()) == set(COMMANDS)


async def outcome(publisher, name, body, ask):
    """Ask by the durable door, and return what became of it."""
    await publisher.publish(name, body, Nats_Msg_Id=ask)
    return understood(msgspec.json.encode(await publisher.outcome(ask)))


def changed_by(shelf):
    """Return what somebody's ask changed, by its id; what follows by itself may be there or not."""
    return [one.ask for one in shelf.commits if one.events and one.command in COMMANDS]


def done(answer) -> bool:
    return isinstance(answer, Reply) and answer.status in {"done", "accepted"}


@pytest.mark.parametrize("command", TENANTS, ids=name_of)
@pytest.mark.parametrize("durable_first", [False, True], ids=["typed-first", "durable-first"])
async def test_it_is_done_once_whichever_door_it_comes_by(
    command, durable_first, publisher, engine_bus
):
    name, body = NAMES[type(command)], body_of(command)
    client = Client(publisher.bus, publisher.subjects, tenant=ACME)
    async with region_with(command, engine_bus, publisher.subjects) as shelf:
        answers = []
        for durable in (durable_first, not durable_first, False):
            asked = outcome(publisher, name, body, "one") if durable else None
            answers.append(await (asked or client.ask(name, {**body, "id": "one"})))

    assert done(answers[0]), answers[0]
    assert answers == [answers[0]] * 3
    assert changed_by(shelf) == ["one"]


@pytest.mark.parametrize("command", OPERATORS, ids=name_of)
async def test_what_is_for_operators_is_done_once_and_no_tenants(command, publisher, engine_bus):
    name, body = NAMES[type(command)], body_of(command)
    client = Client(publisher.bus, publisher.subjects)
    async with region_with(command, engine_bus, publisher.subjects) as shelf:
        denied = await outcome(publisher, name, body, "other")
        answers = [await client.ask(name, {**body, "id": "one"}) for _ in range(2)]

    assert isinstance(denied, Problem)
    assert denied.code is Code.AUTH_DENIED
    assert done(answers[0]), answers[0]
    assert answers == [answers[0]] * 2
    assert changed_by(shelf) == ["one"]


@pytest.mark.parametrize("command", DONE, ids=name_of)
async def test_a_body_that_is_not_understood_is_refused_at_both_doors(
    command, publisher, engine_bus
):
    name, body = NAMES[type(command)], {**body_of(command), "nonsense": 1}
    client = Client(publisher.bus, publisher.subjects, tenant=ACME)
    async with region_with(command, engine_bus, publisher.subjects) as shelf:
        answers = [
            await client.ask(name, {**body, "id": "a"}),
            await outcome(publisher, name, body, "b"),
        ]

    assert [answer.code for answer in answers] == [Code.REQUEST_INVALID] * 2
    assert all("nonsense" in answer.detail for answer in answers)
    assert {"a", "b"}.isdisjoint(changed_by(shelf))
