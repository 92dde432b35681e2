"""Commands become events on NATS, end to end: doors, agents, standby, and a server that dies."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from domain.contracts import Reply
from domain.invariants import broken
from domain.messages import AskId, ContainerId
from domain.problems import Problem
from domain.software import Application, Software
from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.bus import Bus, flush
from handlers.nats_server import ServerOptions, start
from tests.engine.site import SHOP, SPEED, Site, members, migration, operation, site


@pytest.fixture
async def place(nats_url: str, subjects: Subjects, tmp_path: Path):
    async with site(nats_url, subjects, tmp_path) as whole:
        yield whole


@pytest.fixture
async def shop(place: Site):
    """A region with an engine, six hosts, and an environment whose containers serve."""
    await place.engine("e1")
    await place.agents(6)
    await place.done("environment.create", **SHOP)
    await place.quiet()
    return place


async def test_an_environment_is_placed_started_and_found(shop: Site):
    fleet = (await shop.region()).fleet

    assert len(fleet.containers) == 5
    assert all(one.operable for one in fleet.containers.values())
    assert len({one.host for one in members(fleet, "app")}) == 3
    assert not broken(fleet)


async def test_a_plain_json_request_on_the_typed_door_scales_a_layer(
    shop: Site, bus: Bus, subjects: Subjects
):
    body = b'{"environment":"shop","layer":"app","count":5,"id":"grow-1"}'
    first = await bus.request(subjects.service("layer.scale"), body, timeout=5)
    region = await shop.quiet()
    again = await bus.request(subjects.service("layer.scale"), body, timeout=5)

    assert json.loads(first.data)["status"] == "accepted"
    assert again.data == first.data
    assert len(members(region.fleet, "app")) == 5
    assert len((await shop.quiet()).fleet.containers) == 7


async def test_a_tenant_is_told_that_what_belongs_to_another_is_not_there(
    shop: Site, bus: Bus, subjects: Subjects
):
    heard = await bus.subscribe(subjects.outcome("acme", "again-1"))
    await flush(bus)
    body = b'{"environment":"shop","layer":"app","delay_s":0}'
    subject = subjects.durable("acme", "layer.restart")
    refused = await bus.request(subject, body, headers={"Nats-Msg-Id": "again-1"}, timeout=5)
    outcome = json.loads((await heard.next_msg(timeout=10)).data)

    assert json.loads(refused.data)["stream"] == subjects.stream("CMD")
    assert outcome["code"] == "environment.not_found"


async def test_the_durable_door_serves_the_tenant_whose_environment_it_is(
    shop: Site, bus: Bus, subjects: Subjects
):
    create = msgspec.json.encode({**SHOP, "environment": "corner"})
    made = await bus.subscribe(subjects.outcome("acme", "make-1"))
    restarted = await bus.subscribe(subjects.outcome("acme", "again-2"))
    await flush(bus)
    headers = {"Nats-Msg-Id": "make-1"}
    await bus.request(subjects.durable("acme", "environment.create"), create, headers=headers)
    assert json.loads((await made.next_msg(timeout=10)).data)["status"] == "accepted"
    await shop.quiet()
    body = b'{"environment":"corner","layer":"app","delay_s":0}'
    for _ in range(2):
        await bus.request(
            subjects.durable("acme", "layer.restart"), body, headers={"Nats-Msg-Id": "again-2"}
        )
    outcome = json.loads((await restarted.next_msg(timeout=10)).data)
    fleet = (await shop.quiet()).fleet

    assert outcome["status"] == "accepted"
    assert [one.restarts for one in members(fleet, "app", "corner")] == [1, 1, 1]


async def test_one_container_grows_without_a_restart(shop: Site):
    await shop.done("container.scale", container="node1", reserved=6)
    fleet = (await shop.quiet()).fleet

    grown = fleet.containers[ContainerId("node1")]
    assert (grown.allocated, grown.applied, grown.restarts) == (6, 6, 0)


async def test_a_container_moves_without_a_restart(shop: Site):
    before = (await shop.region()).fleet.containers[ContainerId("node2")]
    reply = await shop.done("container.migrate", container="node2")
    fleet = (await shop.quiet()).fleet

    after = fleet.containers[ContainerId("node2")]
    moved = migration(fleet, reply)
    assert moved.state.value == "completed"
    assert [name for name, _ in moved.phases] == [
        "checked",
        "copying",
        "frozen",
        "resumed",
        "reachable",
    ]
    assert after.host != before.host
    assert (after.moves, after.restarts) == (1, 0)


async def test_a_layer_is_redeployed_and_an_application_deployed(shop: Site):
    ask = {"environment": "shop", "layer": "app", "delay_s": 0, "id": "redeploy-1"}
    first = await shop.done("layer.redeploy", image="restow/counter:2", **ask)
    again = await shop.done("layer.redeploy", image="restow/counter:2", **ask)
    await shop.quiet()
    git = "https://git.example.org/shop.git"
    deployed = await shop.done("layer.deploy", vcs=git, ref="v1", **ask | {"id": "deploy-1"})
    refused = await shop.ask("layer.deploy", environment="shop", layer="app")
    fleet = (await shop.quiet()).fleet

    assert again == first
    assert operation(fleet, first).outcome == operation(fleet, deployed).outcome == "done"
    software = Software("restow/counter:2", Application(vcs=git, ref="v1"))
    assert [one.software for one in members(fleet, "app")] == [software] * 3
    assert all(one.operable for one in members(fleet, "app"))
    assert isinstance(refused, Problem)
    assert "archive and vcs" in refused.detail


async def test_an_environment_is_stopped_and_started(shop: Site):
    stopped = await shop.done("environment.stop", environment="shop", id="stop-1")
    assert await shop.done("environment.stop", environment="shop", id="stop-1") == stopped
    refused = await shop.ask("layer.restart", environment="shop", layer="app")
    still = (await shop.quiet()).fleet
    await shop.done("environment.start", environment="shop")
    fleet = (await shop.quiet()).fleet

    assert isinstance(refused, Problem)
    assert "restow env start shop" in refused.detail
    assert all(one.halted and not one.running for one in still.containers.values())
    assert still.containers.keys() == fleet.containers.keys()
    assert all(one.operable for one in fleet.containers.values())


async def test_an_application_that_cannot_be_fetched_stops_nothing(place: Site):
    await place.engine("e1")
    await place.agents(4, Behaviour(seed=3, speed=SPEED, failures={"fetch": 1.0}))
    await place.done("environment.create", **SHOP)
    before = (await place.quiet()).fleet
    reply = await place.done(
        "layer.deploy", environment="shop", layer="app", vcs="https://git.example.org/shop.git"
    )
    fleet = (await place.quiet()).fleet

    assert operation(fleet, reply).outcome == "failed"
    assert "could not be fetched" in operation(fleet, reply).detail
    assert [one.software for one in members(fleet, "app")] == [
        one.software for one in members(before, "app")
    ]
    assert all(one.operable for one in members(fleet, "app"))


async def test_a_standby_takes_over_and_finishes_what_was_begun(shop: Site):
    await shop.engine("e2")
    reply = await shop.done("layer.restart", environment="shop", layer="app", delay_s=1)
    await shop.until(lambda fleet: fleet.containers[ContainerId("node1")].restarts == 1)
    shop.crash("e1")
    fleet = (await shop.quiet()).fleet

    assert operation(fleet, reply).outcome == "done"
    assert [one.restarts for one in members(fleet, "app")] == [1, 1, 1]


async def test_two_engines_write_one_history(shop: Site):
    """Whoever believes to lead is fenced by whoever took over; nothing is lost, nothing twice."""
    await shop.engine("e2")
    replies = [
        await shop.done("container.scale", container="node1", reserved=n % 4 + 1) for n in range(40)
    ]

    positions = [reply.position for reply in replies]
    assert positions == sorted(positions)


async def test_failed_work_is_reported_and_the_rest_is_left_alone(place: Site):
    await place.engine("e1")
    await place.agents(4, Behaviour(seed=3, speed=SPEED, failures={"restart": 1.0}))
    await place.done("environment.create", **SHOP)
    await place.quiet()
    reply = await place.done("layer.restart", environment="shop", layer="app", delay_s=0)
    fleet = (await place.quiet()).fleet

    failed = operation(fleet, reply)
    assert failed.outcome == "failed"
    assert [step.outcome.value for step in failed.over] == ["failed"]
    assert all(one.operable for one in fleet.containers.values())


async def test_bad_input_is_answered_and_nothing_crashes(shop: Site):
    for name, body in (
        ("layer.restart", {"environment": "shop", "layer": "app", "delay_s": 301}),
        ("layer.restart", {"environment": "shop", "layer": "app", "delay_s": -1}),
        ("container.scale", {"container": "node1", "reserved": -5}),
        ("layer.scale", {"environment": "shop", "layer": "app", "count": 10**9}),
        ("layer.scale", {"environment": "shop", "layer": "app", "count": 2, "colour": "red"}),
        ("environment.create", {**SHOP, "environment": "No Label!"}),
        ("container.scale", {"container": "node99", "reserved": 2}),
    ):
        said = await shop.ask(name, **body)
        assert isinstance(said, Problem), (name, body, said)
        assert said.path
    assert isinstance(await shop.ask("container.scale", container="node1", reserved=3), Reply)


async def test_a_killed_server_loses_nothing_acknowledged_and_the_engine_goes_on(
    subjects: Subjects, tmp_path: Path
):
    server = await start(ServerOptions(tmp_path / "nats"))
    try:
        async with site(server.url, subjects, tmp_path / "agents") as place:
            await place.engine("e1")
            await place.agents(4)
            await place.done("environment.create", **SHOP)
            await place.quiet()
            acknowledged: list[str] = []
            stop = asyncio.Event()
            asking = asyncio.create_task(ask_on(place, acknowledged, stop))
            for _ in range(3):
                await asyncio.sleep(0.5)
                server.kill()
                await server.restart()
            await asyncio.sleep(1)
            stop.set()
            await asking
            region = await place.quiet()
            await place.done("container.scale", container="node1", reserved=7)
    finally:
        server.stop()

    assert len(acknowledged) > 10
    assert all(region.answers.get(AskId(name)) is not None for name in acknowledged)
    assert not broken(region.fleet)


async def ask_on(place: Site, acknowledged: list[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        name = f"ask-{len(acknowledged)}"
        await place.done("container.scale", id=name, container="node1", reserved=len(name) % 5 + 1)
        acknowledged.append(name)
