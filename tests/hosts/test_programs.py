"""Real programs move live, there and back, with live connections: no error at their clients."""

import asyncio
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from handlers.agent.runtime import Spec
from tests.agent.fleet import WEB
from tests.hosts.clients import GOOD
from tests.hosts.fabric import Fabric, moved
from tests.hosts.machine import REAL, Machine, until_healthy
from tests.hosts.making import lacking
from tests.hosts.programs import add_nginx, add_notes, add_postgres, add_redis

LACKS = lacking("redis-server", "nginx")
pytestmark = [
    *REAL,
    pytest.mark.skipif(bool(LACKS), reason=f"make hosts: this machine lacks {LACKS}"),
    pytest.mark.timeout(300),
]
ADDRESS = "10.77.0.1"
WITHIN_S = 60.0
STEPS = 20
LARGE_BYTES = 32 << 20


@pytest.fixture
def machine(tmp_path, fabric):
    made = Machine.made(tmp_path)
    made.bridge = fabric.bridge
    yield made
    made.sweep()


class Visit:
    """A client at work, and what it has said so far."""

    def __init__(self, fabric: Fabric, said: Path, what: str, *words: str) -> None:
        self._said = said
        self._client = fabric.visit(said, f"tests.hosts.clients.{what}", ADDRESS, *words)

    def lines(self) -> list[tuple[float, str]]:
        said = self._said.read_text()
        whole = said[: said.rfind("\n") + 1].splitlines()
        return [(float(at), what) for at, _, what in (line.partition(" ") for line in whole)]

    async def go_on(self) -> None:
        """Wait until it has got some steps further."""
        stood = self._said.read_text().count("\n")
        async with asyncio.timeout(WITHIN_S):
            while self._said.read_text().count("\n") < stood + STEPS:
                assert self._client.poll() is None, self._said.read_text()[-2_000:]
                await asyncio.sleep(0.02)

    async def end(self) -> float:
        """Have it bring to an end what it began; return its longest wait, in seconds."""
        await asyncio.to_thread(self._client.communicate, timeout=WITHIN_S)
        said = self._said.read_text()
        assert self._client.returncode == 0, said[-2_000:]
        assert self.lines()[-1][1] == GOOD
        at = [when for when, _ in self.lines()[:-1]]
        return max(after - before for before, after in pairwise(at))

    def stop(self) -> None:
        self._client.kill()
        self._client.communicate()


def large() -> bytes:
    return Random(7).randbytes(LARGE_BYTES)


PROGRAMS = {
    "notes": (add_notes, ()),
    "redis": (add_redis, ()),
    "nginx": (
        lambda machine: add_nginx(machine, large()),
        (str(LARGE_BYTES), sha256(large()).hexdigest()),
    ),
    "postgres": (add_postgres, ()),
}


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_moves_there_and_back_and_its_clients_see_no_error(
    name, machine, fabric, tmp_path, record_property
):
    add, words = PROGRAMS[name]
    await asyncio.to_thread(add, machine)
    here, there = machine.open("h01"), machine.open("h02")
    await here.start(Spec(WEB, "web-1", f"{name}:1", 4, 8, 1, ADDRESS), "o1")
    await until_healthy(here, WEB)
    visit = Visit(fabric, tmp_path / "said", name, *words)
    try:
        await visit.go_on()
        for source, target in ((here, there), (there, here)):
            await moved(source, target)
            await visit.go_on()
        longest = await visit.end()
    finally:
        visit.stop()
    record_property(f"longest wait of a client of {name}", f"{longest * 1_000:.0f} ms")
    for runtime in (here, there):
        runtime.close()
