"""A connection from outside goes on while its container moves: every byte, in order, soon."""

import asyncio
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from handlers.agent.runc.images import Config
from handlers.agent.runc.runtime import RuncRuntime
from handlers.agent.runc.tools import program, run_now
from handlers.agent.runc.wires import Wires
from handlers.agent.runtime import Room, Spec
from tests.agent.fleet import WEB
from tests.hosts.machine import PATIENCE_S, REAL, Machine, seen, until_healthy

pytestmark = REAL
SPEC = Spec(WEB, "web-1", "echo:1", 1, 2, 1, "10.77.0.1", ports=(9000,))
SERVES = "#!/bin/sh\nexec nc -ll -p 9000 -e /bin/cat\n"
GAP_S_MAX = 5.0
"""A busy machine is no measure of speed; what is measured is printed."""
CLIENT = """
import socket, sys, time
talk = socket.create_connection((sys.argv[1], 9000), 10)
talk.settimeout(20)
lines, longest, last, number = talk.makefile("rb"), 0.0, time.monotonic(), 0
sys.stdout.write("connected\\n"); sys.stdout.flush()
stop = time.monotonic() + 120
while time.monotonic() < stop:
    number += 1
    talk.sendall(b"%d\\n" % number)
    got = lines.readline()
    now = time.monotonic()
    longest, last = max(longest, now - last), now
    if int(got) != number:
        sys.exit(f"{got!r} instead of {number}")
    sys.stdout.write(f"{number} {longest:.4f}\\n"); sys.stdout.flush()
    time.sleep(0.002)
"""


KNOCK = """
import socket, sys, time
talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
talk.connect((sys.argv[1], 9))
sys.stdout.write("knocks\\n"); sys.stdout.flush()
while True:
    try:
        talk.send(b"knock")
    except ConnectionRefusedError:
        sys.stdout.write("refused\\n"); sys.stdout.flush()
        time.sleep(0.01)
"""
"""Nobody listens there: who is let through is refused."""


@dataclass
class Fabric:
    """A bridge that both hosts end at, and a client in a namespace of its own."""

    bridge: str
    client: str

    def talk(self, address: str, said: Path, what: str = CLIENT) -> "subprocess.Popen[bytes]":
        words = (program("ip"), "netns", "exec", self.client, sys.executable, "-c", what, address)
        with said.open("wb") as out:
            return subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)


@pytest.fixture
def fabric():
    mark = secrets.token_hex(3)
    made = Fabric(f"rt{mark}b", f"rt{mark}c")
    run_now("ip", "link", "add", "name", made.bridge, "type", "bridge")
    run_now("ip", "link", "set", made.bridge, "up")
    run_now("ip", "netns", "add", made.client)
    peer = ("peer", "name", "eth0", "netns", made.client)
    run_now("ip", "link", "add", "name", f"rt{mark}v", "type", "veth", *peer)
    run_now("ip", "link", "set", f"rt{mark}v", "master", made.bridge, "up")
    run_now("ip", "-n", made.client, "address", "add", "10.77.1.1/8", "dev", "eth0")
    run_now("ip", "-n", made.client, "link", "set", "eth0", "up")
    yield made
    run_now("ip", "netns", "delete", made.client)
    run_now("ip", "link", "delete", made.bridge)


@pytest.fixture
def machine(tmp_path, fabric):
    made = Machine.made(tmp_path)
    made.bridge = fabric.bridge
    made.add("echo:1", Config(command=("/bin/serve",)), {"bin/serve": SERVES})
    yield made
    made.sweep()


async def held(here: RuncRuntime, there: RuncRuntime, migration: str) -> None:
    """Freeze it here, and have it held there."""
    endpoint = await there.receive(Room(WEB, 1, 2, 1), migration)
    await here.copy(WEB, endpoint)
    await here.pause(WEB)
    image = await here.dump(WEB)
    await here.transfer(image, endpoint)
    await there.prepare(image)


async def moved(here: RuncRuntime, there: RuncRuntime) -> None:
    await held(here, there, "mv1")
    await there.go(WEB)
    await here.drop(WEB)


def lines(said: Path) -> list[str]:
    return said.read_text().splitlines()


async def count_on(said: Path, more: int = 20) -> tuple[int, float]:
    """Return how far the client has counted, and its longest wait, once it has gone on."""
    begin = len(lines(said))
    async with asyncio.timeout(PATIENCE_S):
        while len(lines(said)) < begin + more:
            await asyncio.sleep(0.05)
    number, longest = lines(said)[-2].split()
    return int(number), float(longest)


async def test_one_connection_goes_through_three_moves_and_one_that_is_given_up(
    machine, fabric, tmp_path, record_property
):
    here, there = machine.open("h01"), machine.open("h02")
    await here.start(SPEC, "o1")
    await until_healthy(here, WEB)
    said = tmp_path / "said"
    client = fabric.talk(SPEC.address, said)
    await count_on(said)
    for source, target in ((here, there), (there, here), (here, there)):
        await moved(source, target)
        number, longest = await count_on(said)
        assert longest < GAP_S_MAX, lines(said)[-5:]
        record_property(f"longest wait by answer {number}", f"{longest * 1_000:.0f} ms")
    await held(there, here, "mv9")
    await here.drop(WEB)
    await there.resume(WEB)
    await count_on(said)
    assert client.poll() is None
    client.kill()
    client.wait()
    assert seen(there, WEB).running
    for runtime in (here, there):
        runtime.close()


async def test_what_comes_for_who_is_held_waits_from_the_first_moment(machine, fabric, tmp_path):
    wires, home = Wires(machine.places("h01"), fabric.bridge), machine.home("h01", WEB)
    machine.hosts.add("h01")
    mac = "02:00:0a:4d:00:01"
    where = (SPEC.address, "lladdr", mac, "dev", "eth0", "nud", "permanent")
    run_now("ip", "-n", fabric.client, "neigh", "replace", *where)
    said = tmp_path / "said"
    client = fabric.talk(SPEC.address, said, KNOCK)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not lines(said):
                await asyncio.sleep(0.01)
        for _ in range(5):
            await asyncio.to_thread(wires.attach, home, SPEC.address, held=True)
            await asyncio.sleep(0.1)
            assert lines(said) == ["knocks"]
            wires.detach(home)
        wires.attach(home, SPEC.address, held=True)
        wires.release(home)
        async with asyncio.timeout(PATIENCE_S):
            while len(lines(said)) == 1:
                await asyncio.sleep(0.01)
    finally:
        client.kill()
        client.wait()
        wires.detach(home)
