"""A connection from outside goes on while its container moves: every byte, in order, soon."""

import asyncio
from pathlib import Path

import pytest

from handlers.agent.runc.images import Config
from handlers.agent.runc.tools import run_now
from handlers.agent.runc.wires import Wires
from handlers.agent.runtime import Spec
from tests.agent.fleet import WEB
from tests.hosts.fabric import held, moved
from tests.hosts.machine import PATIENCE_S, REAL, Machine, seen, until_healthy

pytestmark = REAL
SPEC = Spec(WEB, "web-1", "echo:1", 1, 2, 1, "10.77.0.1", ports=(9000,))
SERVES = "#!/bin/sh\nexec nc -ll -p 9000 -e /bin/answer\n"
ANSWERS = """#!/bin/sh
# To each number that comes: a word drawn at the start, how many have come, and that number.
read -r word < /proc/sys/kernel/random/uuid
came=0
while read -r number; do came=$((came+1)); echo "$word $came $number"; done
"""
MOVES = 30
GAP_S_MAX = 5.0
"""A busy machine is no measure of speed; what is measured is printed."""
CLIENT = """
import socket, sys, time
talk = socket.create_connection((sys.argv[1], 9000), 10)
talk.settimeout(20)
lines, longest, last, number, word = talk.makefile("rb"), 0.0, time.monotonic(), 0, ""
sys.stdout.write("connected\\n"); sys.stdout.flush()
stop = time.monotonic() + 580
while time.monotonic() < stop:
    number += 1
    talk.sendall(b"%d\\n" % number)
    got = lines.readline()
    now = time.monotonic()
    longest, last = max(longest, now - last), now
    word = word or got.split()[0]
    if got.split() != [word, b"%d" % number, b"%d" % number]:
        sys.exit(f"{got!r} instead of {word!r}, twice {number}")
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


@pytest.fixture
def machine(tmp_path, fabric):
    made = Machine.made(tmp_path)
    made.bridge = fabric.bridge
    made.add(
        "echo:1", Config(command=("/bin/serve",)), {"bin/serve": SERVES, "bin/answer": ANSWERS}
    )
    yield made
    made.sweep()


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
    client = fabric.talk(said, CLIENT, SPEC.address)
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


@pytest.mark.timeout(600)
async def test_one_connection_goes_through_thirty_moves_in_a_row(
    machine, fabric, tmp_path, record_property
):
    here, there = machine.open("h01"), machine.open("h02")
    await here.start(SPEC, "o1")
    await until_healthy(here, WEB)
    said = tmp_path / "said"
    client = fabric.talk(said, CLIENT, SPEC.address)
    try:
        await count_on(said)
        for _ in range(MOVES):
            await moved(here, there)
            here, there = there, here
            await count_on(said, 5)
            assert client.poll() is None, lines(said)[-5:]
        number, longest = await count_on(said)
    finally:
        client.kill()
        client.wait()
    assert longest < GAP_S_MAX, longest
    record_property(f"longest wait in {MOVES} moves, {number} answers", f"{longest * 1_000:.0f} ms")
    for runtime in (here, there):
        runtime.close()


async def test_what_comes_for_who_is_held_waits_from_the_first_moment(machine, fabric, tmp_path):
    wires, home = Wires(machine.places("h01"), fabric.bridge), machine.home("h01", WEB)
    machine.hosts.add("h01")
    mac = "02:00:0a:4d:00:01"
    where = (SPEC.address, "lladdr", mac, "dev", "eth0", "nud", "permanent")
    run_now("ip", "-n", fabric.client, "neigh", "replace", *where)
    said = tmp_path / "said"
    client = fabric.talk(said, KNOCK, SPEC.address)
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
