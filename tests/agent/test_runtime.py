"""What every runtime promises. Another one joins by a line in `RUNTIMES`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.messages import ContainerId
from domain.software import Application
from handlers.agent.behaviour import Behaviour
from handlers.agent.runc.runtime import RuncRuntime
from handlers.agent.runtime import Image, Room, Runtime, RuntimeFailedError, Seen, Spec
from handlers.agent.simulated import SimulatedRuntime
from tests.hosts.machine import COUNTER, REAL, Machine

WEB = ContainerId("node1")
SPEC = Spec(WEB, "web-1", "nginx:1.29", 4, 8, 10, "10.0.0.1")
ROOM = Room(WEB, 4, 8, 10)
SHOP = Application(vcs="https://git.example.org/shop.git", ref="v1")
FAST = Behaviour(speed=500.0)
PATIENCE_S = 20.0


@dataclass
class Hosts:
    """Two hosts of one kind of runtime; `open` starts the software of one (again).

    `tick_s`: in so long a container has counted on for certain.
    """

    open: Callable[[str], Runtime]
    count: Callable[[Runtime, ContainerId], int]
    tick_s: float = 0.02
    sweep: Callable[[], None] = lambda: None


def simulated(tmp_path: Path) -> Hosts:
    def opened(host: str) -> Runtime:
        return SimulatedRuntime(tmp_path / host, host, FAST)

    def count(runtime: Runtime, container: ContainerId) -> int:
        assert isinstance(runtime, SimulatedRuntime)
        return runtime.count(container)

    return Hosts(opened, count)


def runc(tmp_path: Path) -> Hosts:
    """Two hosts on this machine, with real containers that count into a file every 10 ms."""
    machine = Machine.made(tmp_path)
    for name in ("nginx:1.29", "nginx:1.30"):
        machine.add(name, COUNTER)
    machine.fetched(SHOP)

    def count(runtime: Runtime, container: ContainerId) -> int:
        assert isinstance(runtime, RuncRuntime)
        return machine.count(runtime, container)

    return Hosts(machine.open, count, 0.3, machine.sweep)


RUNTIMES = [simulated, pytest.param(runc, marks=REAL)]
MOVERS = RUNTIMES
moving = pytest.mark.parametrize("hosts", MOVERS, indirect=True)
"""What moves containers live, too."""


@pytest.fixture(params=RUNTIMES)
def hosts(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.sweep()


@pytest.fixture
async def here(hosts):
    runtime = hosts.open("h01")
    yield runtime
    runtime.close()


@pytest.fixture
async def there(hosts):
    runtime = hosts.open("h02")
    yield runtime
    runtime.close()


def look(runtime: Runtime) -> Seen:
    seen = runtime.look(WEB)
    assert seen is not None
    return seen


async def healthy(runtime: Runtime) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not look(runtime).healthy:
            await asyncio.sleep(0.002)


async def crossed(here: Runtime, there: Runtime) -> Image:
    """Bring the container to where the source would hand over."""
    endpoint = await there.receive(ROOM, "mv1")
    await here.copy(WEB, endpoint)
    await here.pause(WEB)
    image = await here.dump(WEB)
    await here.transfer(image, endpoint)
    await there.prepare(image)
    return image


async def test_a_started_container_runs_and_becomes_healthy_later(here):
    await here.start(SPEC, "o1")
    assert look(here).running
    assert not look(here).healthy
    await healthy(here)
    assert [sample.container for sample in here.usage()] == [WEB]


async def test_starting_twice_starts_once(here, hosts):
    await here.start(SPEC, "o1")
    await healthy(here)
    counted = hosts.count(here, WEB)
    await here.start(SPEC, "o1")
    assert hosts.count(here, WEB) >= counted > 0


async def test_a_stopped_container_is_gone_and_may_be_stopped_again(here):
    await here.start(SPEC, "o1")
    await here.stop(WEB)
    await here.stop(WEB)
    assert here.look(WEB) is None
    assert here.containers() == ()


async def test_a_restart_begins_a_new_life_once_an_order(here, hosts):
    await here.start(SPEC, "o1")
    await healthy(here)
    await here.restart(WEB, "o2")
    assert not look(here).healthy
    await healthy(here)
    counted = hosts.count(here, WEB)
    await here.restart(WEB, "o2")
    assert look(here).healthy
    assert hosts.count(here, WEB) >= counted
    assert here.usage()[0].restarts == 1


async def test_what_is_not_here_cannot_be_restarted(here):
    with pytest.raises(RuntimeFailedError, match="node1"):
        await here.restart(WEB, "o1")


async def test_a_redeploy_begins_a_new_life_once_an_order_and_keeps_the_size(here, hosts):
    await here.start(SPEC, "o1")
    await here.resize(WEB, 6, 12)
    await healthy(here)
    await here.redeploy(WEB, "nginx:1.30", SHOP, "o2")
    await healthy(here)
    counted = hosts.count(here, WEB)
    await here.redeploy(WEB, "nginx:1.30", SHOP, "o2")
    assert hosts.count(here, WEB) >= counted
    assert (look(here).cloudlets, look(here).limit) == (6, 12)


async def test_what_is_not_here_cannot_be_redeployed(here):
    with pytest.raises(RuntimeFailedError, match="node1"):
        await here.redeploy(WEB, "nginx:1.30", None, "o1")


async def test_a_halted_container_is_there_and_does_not_run_and_may_be_halted_again(here):
    await here.start(SPEC, "o1")
    await here.halt(WEB)
    await here.halt(WEB)
    assert look(here).state == "stopped"
    assert (look(here).healthy, here.usage()) == (False, ())


async def test_what_is_not_here_need_not_be_halted(here):
    await here.halt(WEB)
    assert here.containers() == ()


async def test_a_halted_container_stays_halted_when_its_agent_begins_again(hosts):
    first = hosts.open("h01")
    await first.start(SPEC, "o1")
    await first.halt(WEB)
    first.close()
    again = hosts.open("h01")
    assert look(again).state == "stopped"
    again.close()


async def test_a_halted_container_is_started_again_with_the_size_it_is_to_have(here):
    await here.start(SPEC, "o1")
    await here.halt(WEB)
    await here.start(replace(SPEC, cloudlets=6), "o2")
    await healthy(here)
    assert look(here).cloudlets == 6


async def test_what_runs_from_other_software_is_not_taken_for_started(here):
    await here.start(SPEC, "o1")
    with pytest.raises(RuntimeFailedError, match="from other software"):
        await here.start(replace(SPEC, image="nginx:1.30"), "o2")
    assert look(here).running


async def test_a_resize_does_not_restart(here, hosts):
    await here.start(SPEC, "o1")
    await healthy(here)
    counted = hosts.count(here, WEB)
    await here.resize(WEB, 6, 12)
    assert (look(here).cloudlets, look(here).limit) == (6, 12)
    assert look(here).healthy
    assert hosts.count(here, WEB) >= counted


async def test_a_container_goes_on_while_the_agent_is_dead(hosts):
    first = hosts.open("h01")
    await first.start(SPEC, "o1")
    await healthy(first)
    counted = hosts.count(first, WEB)
    first.close()
    second = hosts.open("h01")
    await asyncio.sleep(hosts.tick_s)
    assert look(second).healthy
    assert hosts.count(second, WEB) > counted
    second.close()


async def test_a_paused_container_does_nothing_until_it_is_resumed(here, hosts):
    await here.start(SPEC, "o1")
    await here.pause(WEB)
    await here.pause(WEB)
    counted = hosts.count(here, WEB)
    await asyncio.sleep(hosts.tick_s)
    assert hosts.count(here, WEB) == counted
    assert not look(here).running
    await here.resume(WEB)
    await here.resume(WEB)
    await asyncio.sleep(hosts.tick_s)
    assert look(here).running
    assert hosts.count(here, WEB) > counted


@moving
async def test_a_moved_container_counts_on_and_keeps_its_health(here, there, hosts):
    await here.start(SPEC, "o1")
    await healthy(here)
    await crossed(here, there)
    counted = hosts.count(here, WEB)
    assert hosts.count(there, WEB) == counted
    await asyncio.sleep(hosts.tick_s)
    assert hosts.count(there, WEB) == counted  # held: it does not run by itself
    assert (look(here).state, look(there).state) == ("paused", "held")
    await there.go(WEB)
    await there.go(WEB)
    await there.reach(WEB)
    await here.drop(WEB)
    await here.drop(WEB)
    await asyncio.sleep(hosts.tick_s)
    assert here.look(WEB) is None
    assert look(there).healthy
    assert hosts.count(there, WEB) > counted


@moving
async def test_a_move_given_up_leaves_the_container_as_it_was(here, there, hosts):
    await here.start(SPEC, "o1")
    await healthy(here)
    await crossed(here, there)
    counted = hosts.count(here, WEB)
    await here.resume(WEB)
    await there.drop(WEB)
    await asyncio.sleep(hosts.tick_s)
    assert there.look(WEB) is None
    assert look(here).healthy
    assert hosts.count(here, WEB) > counted


@moving
async def test_a_held_copy_is_held_still_after_a_crash_of_the_agent(here, hosts):
    there = hosts.open("h02")
    await here.start(SPEC, "o1")
    await healthy(here)
    image = await crossed(here, there)
    there.close()
    again = hosts.open("h02")
    await again.prepare(image)
    assert look(again).state == "held"
    await again.go(WEB)
    assert look(again).running
    again.close()


@moving
async def test_a_size_given_while_frozen_stays(here, there):
    await here.start(SPEC, "o1")
    await healthy(here)
    endpoint = await there.receive(ROOM, "mv1")
    await here.copy(WEB, endpoint)
    await here.pause(WEB)
    await here.resize(WEB, 6, 12)
    image = await here.dump(WEB)
    await here.transfer(image, endpoint)
    await there.prepare(image)
    await there.go(WEB)
    assert (look(there).cloudlets, look(there).limit) == (6, 12)


@moving
async def test_an_altered_image_is_not_restored(here, there):
    await here.start(SPEC, "o1")
    await here.pause(WEB)
    image = await here.dump(WEB)
    with pytest.raises(RuntimeFailedError, match="not what was sent"):
        await there.prepare(Image(WEB, image.body + b"x", image.digest))
    assert there.look(WEB) is None


@moving
async def test_what_runs_cannot_be_dropped_dumped_or_received_again(here):
    await here.start(SPEC, "o1")
    for work in (here.drop(WEB), here.dump(WEB), here.receive(ROOM, "mv1")):
        with pytest.raises(RuntimeFailedError, match="run"):
            await work
    assert look(here).running
