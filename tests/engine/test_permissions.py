"""The users that docs/operating.md gives to copy: a region lives under them, no more is open."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import nats
import pytest

from domain.messages import HostId
from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.agent.link import Link
from handlers.agent.pace import pace_at
from handlers.agent.process import Site as AgentSite
from handlers.bus import Bus, close, connect, flush
from handlers.journal.stream import ensure, info
from handlers.nats_server import Server, ServerOptions, start
from projections import process as reader
from restow.client import Client
from restow.frames import JournalFrames
from restow.talk import Talk
from tests.engine.site import HARDWARE, engine_of

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
SUBJECTS = Subjects("restow")
PASSWORDS = dict(re.findall(r"user: (\S+), password: (\S+),", PAGE.read_text()))


def users() -> str:
    found = re.search(r"```conf\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    running = await start(ServerOptions(tmp_path / "nats", more=users()))
    yield running
    running.stop()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def address(user: str, server: Server) -> str:
    return f"nats://{user}:{PASSWORDS[user]}@{urlsplit(server.url).netloc}"


async def as_user(name: str, server: Server, stack: AsyncExitStack) -> Bus:
    bus = await connect(address(name, server), name=name)
    stack.push_async_callback(close, bus)
    return bus


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def region(server: Server, stack: AsyncExitStack, data: Path) -> None:
    """Run an engine, a reader, an agent of one host and the router, each as its own user."""
    engine_bus = await as_user("engine", server, stack)
    await ensure(engine_bus, SUBJECTS)
    reader_bus = await as_user("reader", server, stack)
    agents = {
        name: AgentSite(
            Link(await as_user(f"agent-{name}", server, stack)),
            SUBJECTS,
            data,
            Behaviour(seed=1, speed=40.0),
            pace_at(40.0),
        )
        for name in ("h01", "routing")
    }
    for work in (
        engine_of(engine_bus, SUBJECTS).run(asyncio.Event()),
        reader.run(reader_bus, SUBJECTS, JournalFrames(reader_bus, SUBJECTS)),
        agents["h01"].host(HostId("h01")),
        agents["routing"].router(),
    ):
        stack.push_async_callback(ended, asyncio.create_task(work))


async def test_a_region_lives_under_them(server: Server, stack: AsyncExitStack, tmp_path: Path):
    await region(server, stack, tmp_path)
    said = Talk(await as_user("operator", server, stack), SUBJECTS)
    shop = {"environment": "shop", "layers": [{"name": "app", "count": 2}]}
    for command, body in (
        ("host.register", {"host": "h01", **HARDWARE}),
        ("environment.create", shop),
    ):
        assert (await said.ask(command, body, patience_s=20)).status in {"done", "accepted"}
    async with asyncio.timeout(30):
        while True:
            listed = await said.read("container.list", {})
            if isinstance(listed, dict) and [c["operable"] for c in listed["items"]] == [True] * 2:
                break
            await asyncio.sleep(0.2)
    engines = await said.engines()
    assert [engine.role for engine in engines] == ["leader"]
    bus = await as_user("engine", server, stack)
    async with asyncio.timeout(10):
        while (events := await info(bus, "RESTOW-EVT")) and events.state.messages < 5:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("reader", "restow.jnl.frame"),
        ("agent-h01", "restow.jnl.frame"),
        ("operator", "restow.jnl.epoch"),
        ("acme", "restow.jnl.frame"),
        ("acme", "restow.cmd.v1.bravo.layer.restart"),
        ("acme", "restow.svc.v1.layer.restart"),
        ("agent-h01", "restow.rep.h02"),
        ("agent-h01", "restow.where.h02"),
        ("agent-h01", "restow.net.h02"),
        ("operator", "restow.ord.h01"),
        ("reader", "restow.cmd.v1.acme.layer.restart"),
    ],
)
async def test_nobody_may_say_what_is_another_ones(
    server: Server, stack: AsyncExitStack, user: str, subject: str
):
    told: list[str] = []

    async def hear(error: Exception) -> None:
        told.append(str(error))

    bus = await nats.connect(address(user, server), error_cb=hear)
    stack.push_async_callback(bus.close)
    await bus.publish(subject, b"{}")
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)

    assert [subject in error and "permissions violation" in error for error in told] == [True]


async def test_a_tenant_hears_its_own_answers_alone(
    server: Server, stack: AsyncExitStack, tmp_path: Path
):
    await region(server, stack, tmp_path)
    acme = await as_user("acme", server, stack)
    theirs = await acme.subscribe("restow.res.acme.>")
    await flush(acme)
    await acme.publish("restow.cmd.v1.acme.layer.restart", b'{"environment":"shop","layer":"x"}')
    told = msgspec.json.decode((await theirs.next_msg(timeout=20)).data)

    assert told["code"] == "environment.not_found"
    others = await acme.subscribe("restow.res.>")
    await flush(acme)
    await Client(await as_user("operator", server, stack), SUBJECTS).ask("host.cordon", {})
    with pytest.raises(TimeoutError):
        await others.next_msg(timeout=0.5)
