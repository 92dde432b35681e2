"""A real agent with real containers: orders in, reports out, and what survives its death."""

import pytest
from msgspec.structs import replace

from domain.orders import Halt, Redeploy, Resize, Restart, Stop
from domain.software import Application
from handlers.agent.runc.runtime import RuncRuntime, real
from tests.agent.fleet import H1, START, WEB, fleet_of
from tests.hosts.machine import COUNTER, REAL, Machine
from tests.hosts.test_living import alive

pytestmark = REAL


@pytest.fixture
def machine(tmp_path):
    made = Machine.made(tmp_path)
    made.add("nginx:1.29", COUNTER)
    made.add("nginx:1.30", COUNTER)
    yield made
    made.sweep()


@pytest.fixture
async def fleet(bus, nats_url, machine):
    async with fleet_of(bus=bus, url=nats_url, data=machine.data) as made:
        made.kind = real(machine.images, machine.usual, run=machine.run)
        machine.hosts.add(H1)
        await made.agent(H1)
        yield made


def pid(machine: Machine) -> int:
    runtime: RuncRuntime = machine.open(H1)
    found = runtime.pid(WEB)
    runtime.close()
    return found


async def test_orders_are_carried_out_on_real_containers(fleet, machine, tmp_path):
    started = await fleet.done("o1", H1, START)
    assert (started.done, started.running) == (True, True), started.detail
    await fleet.until(lambda: any(report.healthy for report in fleet.health()))
    await fleet.until(lambda: fleet.usages)
    first = pid(machine)
    assert (await fleet.done("o2", H1, Resize(5, 9))).done
    assert pid(machine) == first
    assert (await fleet.done("o3", H1, Restart())).running
    assert pid(machine) != first
    (tmp_path / "shop.tar").write_bytes((machine.data / "image.tar").read_bytes())
    shop = Application(archive=f"file://{tmp_path}/shop.tar")
    redeployed = await fleet.done("o4", H1, Redeploy("nginx:1.30", shop))
    assert redeployed.running, redeployed.detail
    assert (machine.home(H1, WEB).application / "bin" / "count").exists()
    assert not (await fleet.done("o5", H1, Halt())).running
    assert (await fleet.done("o6", H1, Stop())).done
    assert machine.places(H1).homes() == ()


async def test_a_killed_agent_leaves_its_containers_alone_and_finds_them_again(fleet, machine):
    await fleet.done("o1", H1, START)
    first = pid(machine)
    await fleet.kill(H1)
    assert alive(first)
    await fleet.agent(H1)
    assert pid(machine) == first
    assert (await fleet.done("o2", H1, replace(START))).done, "started already"
    assert pid(machine) == first


async def test_what_cannot_be_had_is_refused_with_the_way_on(fleet):
    refused = await fleet.done("o1", H1, replace(START, image="gone:1"))
    assert not refused.done
    assert "restow image add gone:1" in refused.detail
    gone = Application(archive="file:///gone.tar")
    refused = await fleet.done("o2", H1, replace(START, application=gone))
    assert "could not be fetched" in refused.detail
