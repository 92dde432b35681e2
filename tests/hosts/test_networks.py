"""Each environment has a network of its own over hosts, and keeps it while its containers move."""

import sys

import pytest

from domain.messages import ContainerId
from handlers.agent.runc import sweeping
from handlers.agent.runc.images import Config
from handlers.agent.runc.tools import run, run_now
from handlers.agent.runc.wires import Wires
from handlers.agent.runtime import RuntimeFailedError, Spec
from handlers.network.shapes import mac_of
from handlers.network.tools import Tools
from tests.agent.fleet import WEB
from tests.hosts.fabric import Fabric, held
from tests.hosts.housed import Land, land_of
from tests.hosts.machine import REAL, Machine, until_healthy
from tests.hosts.test_connection import ANSWERS, CLIENT, SERVES, count_on

pytestmark = REAL
SHOP, BLOG = 17, 18
WAITS = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do usleep 50000; done\n"
SERVER = Spec(WEB, "web-1", "echo:1", 1, 2, 1, "10.0.0.1", ports=(9000,), network=SHOP)
TRY = """
import socket, sys
with socket.socket() as one:
    one.settimeout(1)
    try:
        one.connect((sys.argv[1], 9000))
        print("served")
    except ConnectionRefusedError:
        print("refused")
    except OSError:
        print("nobody")
"""


@pytest.fixture
def machine(tmp_path):
    made = Machine.made(tmp_path)
    made.add(
        "echo:1", Config(command=("/bin/serve",)), {"bin/serve": SERVES, "bin/answer": ANSWERS}
    )
    made.add("waits:1", Config(command=("/bin/waits",)), {"bin/waits": WAITS})
    return made


def waiting(number: int, network: int, address: str) -> Spec:
    return Spec(
        ContainerId(f"node{number}"), f"c-{number}", "waits:1", 1, 2, 1, address, network=network
    )


async def finds(land: Land, host: str, spec: Spec, address: str) -> str:
    """Say whom a container finds at an address; its first word may get lost."""
    inside = ("ip", "netns", "exec", land.space(host, spec.container), sys.executable)
    said = [await run(*inside, "-S", "-c", TRY, address) for _ in range(2)]
    return said[-1]


async def test_one_environment_reaches_over_hosts_and_another_never_finds_it(machine):
    asks, far = waiting(2, SHOP, "10.0.0.2"), waiting(3, SHOP, "10.0.0.3")
    other, double = waiting(4, BLOG, "10.0.0.4"), waiting(5, BLOG, "10.0.0.1")
    with land_of(2, machine) as land:
        places = ((SERVER, "h02"), (asks, "h01"), (far, "h02"), (other, "h01"), (double, "h02"))
        for spec, host in places:
            await land.runtimes[host].start(spec, "o1")
        await land.tell(SHOP, {"10.0.0.1": "h02", "10.0.0.2": "h01", "10.0.0.3": "h02"})
        await land.tell(BLOG, {"10.0.0.4": "h01", "10.0.0.1": "h02"})
        await until_healthy(land.runtimes["h02"], WEB)

        assert await finds(land, "h01", asks, "10.0.0.1") == "served"
        assert await finds(land, "h02", far, "10.0.0.1") == "served"
        assert await finds(land, "h01", asks, "10.0.0.3") == "refused"
        # What has the same address in another environment is somebody else.
        assert await finds(land, "h01", other, "10.0.0.1") == "refused"
        assert await finds(land, "h01", other, "10.0.0.2") == "nobody"
        assert await finds(land, "h01", other, "10.0.0.3") == "nobody"
        for _ in range(2):  # and its agent may begin anew
            assert land.devices("h01") >= {"rb17", "rv17", "rb18", "rv18"}
            land.open("h01")
        assert await finds(land, "h01", asks, "10.0.0.1") == "served"

        await land.runtimes["h01"].stop(other.container)
        assert {"rb18", "rv18"} & land.devices("h01") == set()
        assert land.devices("h02") >= {"rb18", "rv18"}
        land.close("h02")
        land.houses["h02"].do(sweeping.still, machine.places("h02"))
        assert land.devices("h02") == set()


async def moved(land: Land, source: str, target: str, where: dict[str, str]) -> None:
    """Have it run there; all are told where it is as soon as it is held there."""
    here, there = land.runtimes[source], land.runtimes[target]
    await held(here, there, "mv1")
    await land.tell(SHOP, {**where, SERVER.address: target})
    await there.go(WEB)
    await here.drop(WEB)


async def test_a_connection_of_its_network_goes_on_through_moves_over_three_hosts(
    machine, tmp_path, record_property
):
    asks = waiting(2, SHOP, "10.0.0.2")
    where = {asks.address: "h01"}
    with land_of(3, machine) as land:
        await land.runtimes["h01"].start(asks, "o1")
        await land.runtimes["h02"].start(SERVER, "o2")
        await land.tell(SHOP, {**where, SERVER.address: "h02"})
        await until_healthy(land.runtimes["h02"], WEB)
        said = tmp_path / "said"
        space = land.space("h01", asks.container)
        client = Fabric("", space).talk(said, CLIENT, SERVER.address)
        try:
            await count_on(said)
            for source, target in (("h02", "h03"), ("h03", "h01"), ("h01", "h02")):
                await moved(land, source, target, where)
                if source != "h01":
                    assert land.devices(source) == set()
                inside = Tools(land.space(target, WEB)).run(("ip", "-o", "link", "show", "eth0"))
                assert mac_of(SERVER.address) in inside
                number, longest = await count_on(said)
                record_property(f"longest wait by answer {number}", f"{longest * 1_000:.0f} ms")
            await given_up(land, "h02", "h03", where)
            await count_on(said)
        finally:
            client.kill()
            client.wait()


async def given_up(land: Land, source: str, target: str, where: dict[str, str]) -> None:
    """Have it held there, found there, and then run on here."""
    here, there = land.runtimes[source], land.runtimes[target]
    await held(here, there, "mv2")
    await land.tell(SHOP, {**where, SERVER.address: target})
    await there.drop(WEB)
    await here.resume(WEB)
    await land.tell(SHOP, {**where, SERVER.address: source})
    assert land.devices(target) == set()


def test_where_no_network_can_be_made_a_container_is_on_the_bridge_of_everybody(machine, fabric):
    wires, home = Wires(machine.places("h01"), fabric.bridge), machine.home("h01", WEB)
    wires.attach(home, SERVER.address, SHOP, held=False)
    try:
        shown = run_now("ip", "-o", "link", "show", wires.device(home))
        assert f"master {fabric.bridge}" in shown
        wires.mute(home, SHOP)
        wires.unmute(home, SERVER.address, SHOP)
        assert run_now("ip", "-o", "link", "show", wires.device(home)) == shown
    finally:
        wires.detach(home)
    machine.sweep()


async def test_nothing_is_started_where_the_host_has_no_such_underlay(machine):
    with land_of(1, machine) as land:
        machine.underlays["h01"] = "192.0.2.1"
        here = land.open("h01")
        with pytest.raises(
            RuntimeFailedError, match=r"no device of this host has the address 192\.0\.2\.1"
        ):
            await here.start(SERVER, "o1")
        assert here.containers() == ()
