"""Who knocks at a container while it moves: whom the kernel has let in is answered, too."""

import asyncio
from pathlib import Path

import pytest

from handlers.agent.runc.greeting import LISTENING, waiting
from handlers.agent.runc.images import Config
from handlers.agent.runtime import Room, RuntimeFailedError, Spec
from restow.lab.image import INSIDE, pack
from tests.agent.fleet import WEB
from tests.hosts.machine import PATIENCE_S, REAL, Machine
from tests.hosts.programs import SERVED

pytestmark = REAL
PORT = 9_000
KNOCKS = 4
CLIENT = """
import socket, sys
talks = [socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) for _ in range(4)]
for number, talk in enumerate(talks):
    talk.sendall(b"%d\\n" % number)
sys.stdout.write("asked\\n"); sys.stdout.flush()
for number, talk in enumerate(talks):
    word, came = talk.recv(100).split()
    sys.stdout.write(f"{word.decode()} {int(came) == number}\\n"); sys.stdout.flush()
"""


def add(machine: Machine, pause_ms: int) -> Spec:
    """Have an image of the slow one, which accepts one in so many milliseconds, or nobody."""
    archive = machine.data / "slow.tar"
    python, libraries = pack(archive, SERVED / "slow.py")
    config = Config(
        command=(python, "-I", "-S", "-B", INSIDE, str(PORT), str(pause_ms)),
        variables={"LD_LIBRARY_PATH": ":".join(libraries)},
        labels={"restow.health": "runs"},  # a check would be one more who knocks
    )
    machine.add_packed("slow:1", archive, config)
    return Spec(WEB, "web-1", "slow:1", 1, 2, 1, "10.77.0.1", ports=(PORT,))


@pytest.fixture
def machine(tmp_path, fabric):
    made = Machine.made(tmp_path)
    made.bridge = fabric.bridge
    yield made
    made.sweep()


async def until(so) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not so():
            await asyncio.sleep(0.002)


async def until_it_listens(runtime) -> None:
    await until(lambda: [*waiting(runtime.pid(WEB), LISTENING)])


def lines(said: Path) -> list[str]:
    return said.read_text().splitlines()


async def test_who_waits_to_be_accepted_when_it_is_frozen_is_answered_by_the_same_process(
    machine, fabric, tmp_path
):
    spec, said = add(machine, 150), tmp_path / "said"
    here, there = machine.open("h01"), machine.open("h02")
    await here.start(spec, "o1")
    await until_it_listens(here)
    endpoint = await there.receive(Room(WEB, 1, 2, 1), "mv1")
    await here.copy(WEB, endpoint)
    client = fabric.talk(said, CLIENT, spec.address, str(PORT))
    try:
        await until(lambda: lines(said) == ["asked"])
        assert sum(waiting(here.pid(WEB), LISTENING)) > 1
        await here.settle(WEB)
        await here.pause(WEB)
        image = await here.dump(WEB)
        await here.transfer(image, endpoint)
        await there.prepare(image)
        await there.go(WEB)
        await here.drop(WEB)
        await until(lambda: len(lines(said)) == 1 + KNOCKS)
    finally:
        client.kill()
        client.wait()
    words = {line.split()[0] for line in lines(said)[1:]}
    assert len(words) == 1
    assert {line.split()[1] for line in lines(said)[1:]} == {"True"}
    for runtime in (here, there):
        runtime.close()


async def test_one_that_accepts_nobody_stays_where_it_is_and_its_door_is_opened_again(
    machine, fabric, tmp_path
):
    spec = add(machine, 0)
    here = machine.open("h01")
    await here.start(spec, "o1")
    await until_it_listens(here)
    clients = [fabric.talk(tmp_path / "first", CLIENT, spec.address, str(PORT))]
    try:
        await until(lambda: sum(waiting(here.pid(WEB), LISTENING)) == KNOCKS)
        with pytest.raises(RuntimeFailedError, match="4 connections have not been accepted"):
            await here.settle(WEB)
        clients.append(fabric.talk(tmp_path / "next", CLIENT, spec.address, str(PORT)))
        await asyncio.sleep(0.2)
        assert sum(waiting(here.pid(WEB), LISTENING)) == KNOCKS
        await here.resume(WEB)
        await until(lambda: sum(waiting(here.pid(WEB), LISTENING)) == 2 * KNOCKS)
    finally:
        for client in clients:
            client.kill()
            client.wait()
    here.close()
