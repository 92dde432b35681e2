"""kill -9 of an agent, real processes on a real server; and a bus that is away for a while.

What runs is read from the files of the simulated containers, as a kernel would know it.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.fleet import Fleet
from domain.host import HostState
from domain.invariants import broken
from domain.lease import Terms, terms_of
from domain.messages import ContainerId, HostId
from domain.recovery import Fate
from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.agent.link import Link
from handlers.agent.neighbours import Neighbours
from handlers.agent.pace import pace_at
from handlers.agent.process import Site as AgentSite
from handlers.agent.simulated import SimulatedRuntime
from handlers.bus import close, connect
from handlers.nats_server import Server, ServerOptions, start
from tests.engine.site import HARDWARE, Site, is_quiet, site

TERMS = terms_of(4_000)
CALM = Terms(8_000, 15_000, 800, 800, 4_000, 4_800, 15_000)
"""Longer: everything is in one process here, which is late for some seconds on a busy machine."""
SPEED = 20.0
HOSTS = tuple(f"h{number:02}" for number in range(1, 6))
VICTIM = HOSTS[-1]
SHOP = {
    "environment": "shop",
    "layers": [{"name": "app", "count": 5}, {"name": "files", "count": 5, "on_lost": "keep"}],
}

ALL_FENCED = {"environment": "shop", "layers": [{"name": "app", "count": 10}]}


@contextmanager
def agent(place: Site, *hosts: str, routing: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent process of these hosts; it is killed at the end."""
    words = [word for host in hosts for word in ("--host", host)]
    flags = ("--url", place.url, "--prefix", place.subjects.prefix, "--speed", str(SPEED))
    process = subprocess.Popen(
        (sys.executable, "-m", "restow", "agent", *words, *flags, "--data", str(place.data))
        + (("--routing",) if routing else ()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def running(folder: Path, scratch: Path) -> Mapping[str, list[str]]:
    """Return what really runs on each host: containers by host, read from a copy of its files."""
    found: dict[str, list[str]] = {}
    for host in HOSTS:
        copy = scratch / f"{host}-{time.monotonic_ns()}"
        shutil.copytree(folder / host, copy)
        runtime = SimulatedRuntime(copy / "containers", host, Behaviour(speed=SPEED))
        found[host] = [str(one.container) for one in runtime.containers() if one.running]
        runtime.close()
    return found


def everything_runs_once(fleet: Fleet, truth: Mapping[str, list[str]]) -> bool:
    believed = {host: [] for host in HOSTS}  # type: dict[str, list[str]]
    for one in fleet.containers.values():
        believed[one.host].append(str(one.id))
    return {h: sorted(c) for h, c in truth.items()} == {h: sorted(c) for h, c in believed.items()}


def here(fleet: Fleet, layer: str, host: str) -> list[ContainerId]:
    every = fleet.containers.values()
    return [one.id for one in every if (one.layer, one.host) == (layer, host)]


async def a_shop(place: Site, shop: Mapping[str, Any] = SHOP) -> Fleet:
    for number, host in enumerate(HOSTS):
        await place.done("host.register", host=host, labels={"zone": "abc"[number % 3]}, **HARDWARE)
    await place.done("environment.create", **shop)
    return (await place.until(lambda f: is_quiet(f) and all_operable(f))).fleet


def all_operable(fleet: Fleet) -> bool:
    return len(fleet.containers) == 10 and all(one.operable for one in fleet.containers.values())


@pytest.mark.timeout(240)
async def test_a_killed_agent_loses_its_host_and_nothing_runs_twice(
    nats_server: Server, subjects: Subjects, tmp_path: Path
) -> None:
    async with site(nats_server.url, subjects, tmp_path / "agents") as place:
        place.terms = TERMS
        await place.engine("e1")
        data = place.data / "agents"
        with agent(place, *HOSTS[:-1], routing=True), agent(place, VICTIM) as victim:
            fleet = await a_shop(place)
            (fenced,), (kept,) = here(fleet, "app", VICTIM), here(fleet, "files", VICTIM)
            await asyncio.sleep(TERMS.steady_ms / 1_000)  # so long a majority must have been held
            victim.send_signal(signal.SIGKILL)
            killed_s = time.monotonic()

            def is_lost_and_recovered(fleet: Fleet) -> bool:
                lost = fleet.hosts[HostId(VICTIM)].lost
                return lost and is_quiet(fleet) and fleet.containers[fenced].operable

            fleet = (await place.until(is_lost_and_recovered)).fleet
            took_s = time.monotonic() - killed_s
            truth = running(data, tmp_path)
            assert fleet.containers[fenced].host != VICTIM
            assert truth[VICTIM] == [kept]
            assert str(fenced) in truth[fleet.containers[fenced].host]
            (recovery,) = fleet.recoveries.values()
            assert {one.container: one.fate for one in recovery.over} == {
                fenced: Fate.RESTARTED,
                kept: Fate.KEPT,
            }
            assert not broken(fleet)
            assert took_s > TERMS.lease_ms / 1_000

            with agent(place, VICTIM):
                await it_comes_back(place, kept, tmp_path)


@pytest.mark.timeout(240)
async def test_a_host_that_is_registered_anew_begins_clean_whatever_its_agent_remembers(
    nats_server: Server, subjects: Subjects, tmp_path: Path
) -> None:
    async with site(nats_server.url, subjects, tmp_path / "agents") as place:
        place.terms = TERMS
        await place.engine("e1")
        data = place.data / "agents"
        with agent(place, *HOSTS[:-1], routing=True), agent(place, VICTIM) as victim:
            fleet = await a_shop(place, ALL_FENCED)
            there = here(fleet, "app", VICTIM)
            assert there
            await asyncio.sleep(TERMS.steady_ms / 1_000)
            victim.send_signal(signal.SIGKILL)
            await place.until(
                lambda f: is_quiet(f) and not here(f, "app", VICTIM) and all_operable(f)
            )

            await place.done("host.remove", host=VICTIM)
            await place.done("host.register", host=VICTIM, labels={"zone": "b"}, **HARDWARE)
            with agent(place, VICTIM):
                fleet = await moved_to_the_victim(place, there[0])
                assert fleet.hosts[HostId(VICTIM)].term == 1
                async with asyncio.timeout(20):
                    while not everything_runs_once(fleet, running(data, tmp_path)):
                        await asyncio.sleep(0.3)


async def moved_to_the_victim(place: Site, container: ContainerId) -> Fleet:
    """Move it there; that is given up, and asked for again, while the host still cleans up."""
    async with asyncio.timeout(60):
        while True:
            await place.done("container.migrate", container=str(container), target=VICTIM)
            fleet = (await place.until(is_quiet)).fleet
            if fleet.containers[container].host == VICTIM:
                return fleet


async def it_comes_back(place: Site, kept: ContainerId, scratch: Path) -> None:
    """Under a new term, with what was kept and nothing else; and it works again."""
    back = await place.until(lambda f: f.hosts[HostId(VICTIM)].term == 1 and all_operable(f))
    assert back.fleet.hosts[HostId(VICTIM)].state is HostState.ACTIVE
    async with asyncio.timeout(20):
        while not everything_runs_once(back.fleet, running(place.data / "agents", scratch)):
            await asyncio.sleep(0.3)
    assert here(back.fleet, "files", VICTIM) == [kept]
    await place.done("container.migrate", container=str(kept))
    moved = await place.until(lambda f: is_quiet(f) and f.containers[kept].host != VICTIM)
    assert not broken(moved.fleet)


@asynccontextmanager
async def neighbours_on(place: Site, subjects: Subjects) -> AsyncIterator[None]:
    """Run agents in this process, each with an ear of its own for the others."""
    bus = await connect(place.url, name="agents")
    async with asyncio.TaskGroup() as tasks:
        how = Behaviour(seed=1, speed=SPEED)
        pace = pace_at(SPEED)
        router = AgentSite(Link(bus), subjects, place.data, how, pace)
        running_ = [tasks.create_task(router.router())]
        ears = []
        for host in HOSTS:
            ear = Neighbours()
            ears.append(ear.serving("127.0.0.1"))
            await ears[-1].__aenter__()
            one = AgentSite(Link(bus), subjects, place.data, how, pace, neighbours=ear)
            running_.append(tasks.create_task(one.host(HostId(host))))
        yield
        for task in running_:
            task.cancel()
        for ear_ in ears:
            await ear_.__aexit__(None, None, None)
    await close(bus)


@pytest.mark.timeout(240)
async def test_while_the_bus_is_away_for_all_nothing_is_fenced(
    subjects: Subjects, tmp_path: Path
) -> None:
    server = await start(ServerOptions(tmp_path / "nats"))
    try:
        async with site(server.url, subjects, tmp_path / "agents") as place:
            place.terms = CALM
            await place.engine("e1")
            async with neighbours_on(place, subjects):
                fleet = await a_shop(place)
                await asyncio.sleep(CALM.lease_ms / 1_000)

                await asyncio.to_thread(server.stop)
                await asyncio.sleep(2 * CALM.lease_ms / 1_000)
                truth = running(place.data, tmp_path)
                await server.restart()

                assert everything_runs_once(fleet, truth)
                await asyncio.sleep(CALM.lease_ms / 1_000)
                after = await place.until(all_operable)
                assert not any(host.lost or host.term for host in after.fleet.hosts.values())
                assert sum(one.restarts for one in after.fleet.containers.values()) == 0
                assert everything_runs_once(after.fleet, running(place.data, tmp_path))
    finally:
        server.stop()
