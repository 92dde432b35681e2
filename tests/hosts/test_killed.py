"""Agents are killed in the middle of a real move: the container runs in one place, and counts on.

The judge is the container itself: it counts in its memory, into its disk, every 10 ms. Where it
counts is looked at all the time, on both hosts.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Self

import pytest

from domain.messages import HostId
from handlers.agent.runc.runtime import real
from tests.agent.fleet import H1, H2, WEB, Fleet, Fuse, fleet_of, move
from tests.agent.test_killed import answered, ready, revived
from tests.hosts.machine import COUNTER, REAL, Machine

pytestmark = REAL
LOOK_S = 0.03
CELLS = [(H1, 4), (H1, 7), (H1, 9), (H1, 11), (H2, 1), (H2, 2), (H2, 3)]
"""Who is killed, just after which line of its ledger since it was started again."""


@dataclass
class Judge:
    """Where the container was seen to count, look by look."""

    machine: Machine
    at: list[set[HostId]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()

    def counts(self) -> dict[HostId, int]:
        return {host: self.machine.counted(host, WEB) for host in (H1, H2)}

    async def _watch(self) -> None:
        before = self.counts()
        while True:
            await asyncio.sleep(LOOK_S)
            now = self.counts()
            self.at.append({host for host in now if 0 < before[host] < now[host]})
            before = now

    def last(self, host: HostId) -> int:
        return max((n for n, seen in enumerate(self.at) if host in seen), default=-1)

    def first(self, host: HostId) -> int:
        return min((n for n, seen in enumerate(self.at) if host in seen), default=len(self.at))


@pytest.fixture
def machine(tmp_path):
    made = Machine.made(tmp_path)
    made.add("nginx:1.29", COUNTER)
    made.hosts.update((H1, H2))
    yield made
    made.sweep()


@pytest.fixture
async def fleet(bus, nats_url, machine):
    async with fleet_of(bus=bus, url=nats_url, data=machine.data) as made:
        made.kind = real(machine.images, machine.usual, run=machine.run)
        yield made


async def gone_on(fleet: Fleet, machine: Machine, located: HostId, stood: int) -> None:
    await fleet.until(lambda: machine.counted(located, WEB) > stood + 5)


@pytest.mark.parametrize(("victim", "line"), CELLS)
async def test_killed_in_the_middle_of_a_move_it_runs_in_one_place(victim, line, fleet, machine):
    fuses = {victim: Fuse(line)}
    await ready(fleet, fuses)
    async with Judge(machine) as judge:
        stood = machine.counted(H1, WEB)
        await fleet.order("o2", H1, move())
        report = await answered(fleet, "o2", fuses)
        await revived(fleet, fuses)
        located = report.located
        assert located is not None, report
        await gone_on(fleet, machine, located, stood)
    other = H2 if located == H1 else H1
    assert judge.last(H1) <= judge.first(H2), judge.at
    assert judge.first(located) < len(judge.at)
    await fleet.until(lambda: machine.home(other, WEB).life.exists() is False)
    log = machine.home(located, WEB).log
    began = "began as" in log.read_text() if log.exists() else False
    assert began is (located == H1), "what moved has not begun anew"
