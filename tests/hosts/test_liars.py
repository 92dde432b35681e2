"""A container speaks as itself alone, on its bridge, before and after a live move."""

import sys
from collections.abc import Mapping

import pytest

from handlers.agent.runc.images import Config
from handlers.agent.runc.tools import run, run_now
from handlers.agent.runc.wires import Wires
from handlers.agent.runtime import Spec
from handlers.network.shapes import mac_of
from tests.agent.fleet import WEB
from tests.hosts.fabric import Fabric, held, moved
from tests.hosts.machine import REAL, Machine

pytestmark = REAL
WAITS = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do usleep 50000; done\n"
SPEC = Spec(WEB, "web-1", "waits:1", 1, 2, 1, "10.77.0.1")
OTHER = "10.77.0.9"
PORT = 9
TRY = f"""
import socket, sys
with socket.socket() as one:
    one.settimeout(1)
    try:
        one.bind((sys.argv[1], 0))
        one.connect(("10.77.1.1", {PORT}))
    except ConnectionRefusedError:
        print("refused")
    except OSError:
        print("nobody")
"""
"""Nobody listens there: who is heard is refused."""


@pytest.fixture
def machine(tmp_path, fabric):
    made = Machine.made(tmp_path)
    made.bridge = fabric.bridge
    made.add("waits:1", Config(command=("/bin/waits",)), {"bin/waits": WAITS})
    yield made
    made.sweep()


def space(machine: Machine, host: str) -> str:
    return f"{machine.places(host).label}-{WEB}"


async def heard(machine: Machine, host: str, source: str) -> bool:
    """Say whether the client hears a container that speaks under this address."""
    inside = ("ip", "netns", "exec", space(machine, host), sys.executable, "-S", "-c", TRY, source)
    return await run(*inside) == "refused"


async def soon(machine: Machine, host: str, source: str) -> bool:
    """Say whether it is heard, though its first calls may still wait for the other's answer."""
    return any([await heard(machine, host, source) for _ in range(5)])


async def outcomes(machine: Machine, fabric: Fabric, host: str) -> Mapping[str, bool]:
    """Return which of its voices are heard. It could not take one itself: root here does it."""
    inside = ("ip", "-n", space(machine, host))
    neighbour = ("neigh", "replace", "dev", "eth0", "nud", "permanent")
    told = {"own": await soon(machine, host, SPEC.address)}
    run_now(*inside, "address", "add", f"{OTHER}/8", "dev", "eth0")
    # The client could be deaf to a question, and hear the next word: it need not ask.
    run_now("ip", "-n", fabric.client, *neighbour, "to", OTHER, "lladdr", mac_of(SPEC.address))
    told["other address"] = await soon(machine, host, OTHER)
    run_now(*inside, "address", "delete", f"{OTHER}/8", "dev", "eth0")
    run_now("ip", "-n", fabric.client, "neigh", "flush", "dev", "eth0")
    for mac, name in ((mac_of(OTHER), "other hardware"), (mac_of(SPEC.address), "own again")):
        run_now(*inside, "link", "set", "eth0", "address", mac)
        told[name] = await soon(machine, host, SPEC.address)
    return told


async def test_it_is_heard_under_its_own_address_alone_before_and_after_a_move(machine, fabric):
    here, there = machine.open("h01"), machine.open("h02")
    await here.start(SPEC, "o1")
    before = await outcomes(machine, fabric, "h01")
    assert before == {
        "own": True,
        "other address": False,
        "other hardware": False,
        "own again": True,
    }
    await moved(here, there)
    assert await outcomes(machine, fabric, "h02") == before
    for runtime in (here, there):
        runtime.close()


def guarded(machine: Machine, host: str) -> bool:
    device = Wires(machine.places(host)).device(machine.home(host, WEB))
    return (
        f"table netdev restow-{device}" in run_now("nft", "list", "tables", "netdev").splitlines()
    )


def rules(machine: Machine) -> tuple[bool, bool]:
    return guarded(machine, "h01"), guarded(machine, "h02")


async def test_its_rules_stand_before_it_runs_and_go_with_it(machine):
    here, there = machine.open("h01"), machine.open("h02")
    assert rules(machine) == (False, False)
    await here.start(SPEC, "o1")
    assert rules(machine) == (True, False)
    await held(here, there, "mv1")
    assert rules(machine) == (True, True)
    await there.go(WEB)
    await here.drop(WEB)
    assert rules(machine) == (False, True)
    await there.stop(WEB)
    assert rules(machine) == (False, False)
    for runtime in (here, there):
        runtime.close()
