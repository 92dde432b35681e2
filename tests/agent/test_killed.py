"""Agents are killed at every line they write, and started again: one copy runs, and counts on.

`Truth` sees every change of every container from outside and fails at once where two would run.
"""

import time
from itertools import count
from random import Random

import pytest

from domain.messages import HostId
from domain.orders import CallOff, ReportOrder, Restart
from tests.agent.fleet import FAST, H1, H2, MV1, START, WEB, Fleet, Fuse, fleet_of, move

LINES_OF_THE_SOURCE = 12
LINES_OF_THE_TARGET = 4


@pytest.fixture
def fleets(bus, nats_url, tmp_path):
    numbers = count()
    return lambda: fleet_of(bus=bus, url=nats_url, data=tmp_path / str(next(numbers)))


async def ready(fleet: Fleet, fuses: dict[HostId, Fuse]) -> None:
    """A healthy container on the first host; agents with fuses in place of the first ones."""
    await fleet.agent(H1)
    await fleet.agent(H2)
    await fleet.done("o1", H1, START)
    await fleet.until(lambda: fleet.health() and fleet.health()[-1].healthy)
    for host, fuse in fuses.items():
        await fleet.kill(host)
        await fleet.agent(host, fuse=fuse)


async def answered(fleet: Fleet, name: str, fuses: dict[HostId, Fuse]) -> ReportOrder:
    """Wait for the answer to an order, reviving who dies."""
    while not fleet.answers(name):
        await fleet.until(
            lambda: fleet.answers(name) or any(fleet.running[host].done() for host in fuses)
        )
        await revived(fleet, fuses)
    return fleet.answers(name)[0]


async def moved(fleet: Fleet, fuses: dict[HostId, Fuse]) -> HostId:
    """Wait for the end of the migration; return where the container is."""
    located = (await answered(fleet, "o2", fuses)).located
    assert located is not None
    return located


async def revived(fleet: Fleet, fuses: dict[HostId, Fuse]) -> None:
    for host in fuses:
        if fleet.running[host].done():
            await fleet.agent(host)


async def settled(fleet: Fleet, located: HostId, fuses: dict[HostId, Fuse]) -> None:
    """Nothing is left of it elsewhere; it was never restarted and has lived on."""
    await revived(fleet, fuses)
    await fleet.until(lambda: list(fleet.truth.lives) == [(located, WEB)])
    await fleet.until(lambda: fleet.truth.hosts("running") == [located])
    life = fleet.truth.lives[located, WEB]
    assert (life.restarts, life.mark) == (0, "o1")
    lived_ms = life.age_ms + (time.monotonic() - life.since_s) * 1_000 * FAST.speed
    assert lived_ms > life.warm_ms  # it was healthy before, and has not begun anew
    assert len(fleet.answers("o2")) == 1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("victim", "lines"), [(H1, LINES_OF_THE_SOURCE), (H2, LINES_OF_THE_TARGET)]
)
async def test_killed_at_every_line_it_runs_in_one_place(fleets, victim, lines, before):
    ends = set()
    for line in count(1):
        fuses = {victim: Fuse(line, before=before)}
        async with fleets() as fleet:
            await ready(fleet, fuses)
            await fleet.order("o2", H1, move())
            located = await moved(fleet, fuses)
            await settled(fleet, located, fuses)
            ends.add(located)
        if not fuses[victim].blown:
            break
    assert line > lines
    assert ends == ({H1, H2} if victim == H1 else {H2})


@pytest.mark.parametrize("seed_of_two", range(12))
async def test_both_killed_and_called_off_it_runs_in_one_place(fleets, seed_of_two):
    dice = Random(seed_of_two)
    fuses = {
        H1: Fuse(dice.randrange(1, 20), before=dice.random() < 0.5),
        H2: Fuse(dice.randrange(1, 9), before=dice.random() < 0.5),
    }
    phase = dice.choice(["checked", "copying", "frozen", "resumed"])
    async with fleets() as fleet:
        await ready(fleet, fuses)
        await fleet.order("o2", H1, move())
        await fleet.until(
            lambda: phase in fleet.phases() or any(task.done() for task in fleet.running.values())
        )
        await fleet.order("o3", H1, CallOff(MV1))
        located = await moved(fleet, fuses)
        assert (await answered(fleet, "o3", fuses)).located == located
        await settled(fleet, located, fuses)
        assert len(fleet.answers("o3")) == 1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_killed_at_every_line_a_restart_restarts_once(fleets, before):
    for line in count(1):
        fuses = {H1: Fuse(line, before=before)}
        async with fleets() as fleet:
            await ready(fleet, fuses)
            await fleet.order("o2", H1, Restart())
            assert (await answered(fleet, "o2", fuses)).done
            await revived(fleet, fuses)
            assert fleet.truth.lives[H1, WEB].restarts == 1
            assert fleet.truth.lives[H1, WEB].mark == "o2"
            assert len(fleet.answers("o2")) == 1
        if not fuses[H1].blown:
            break
    assert line > 3
