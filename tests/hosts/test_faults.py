"""The table of faults: each strikes at a step of a move, twice, and a canary is the judge.

Afterwards the container runs in one place within 30 s, the same process, with its memory. A cell is
what is struck, and at which step; `docs/reliability.md` has the table, and is held to this one.
"""

import asyncio

import pytest

from domain.messages import HostId
from tests.engine.site import HARDWARE, Site, is_quiet, members, site
from tests.hosts.canary import Judge, add_canary
from tests.hosts.faults import CELLS, CONTAINER, STRIKES, Way, armed
from tests.hosts.machine import REAL, Machine
from tests.hosts.troubled import HOSTS, WITHIN_S, Troubled

pytestmark = [*REAL, pytest.mark.timeout(300)]
ROUNDS = 2
GROWS_BYTES = 200


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    machine = Machine.made(tmp_path_factory.mktemp("faults"))
    add_canary(machine)
    made = Troubled.made(machine)
    try:
        made.tend()
        asyncio.run(begun(made))
        yield made
    finally:
        made.stop()
        machine.sweep()
        made.unmount()


async def begun(region: Troubled) -> None:
    """Two hosts, and a canary on one of them."""
    async with site(region.server.url, region.subjects, region.machine.data) as place:
        for host in HOSTS:
            await place.done("host.register", host=host, **HARDWARE)
        layers = [{"name": "app", "count": 1, "image": "canary:1", "limit": 2}]
        await place.done("environment.create", environment="shop", layers=layers)
        await place.until(lambda fleet: is_quiet(fleet) and bool(fleet.containers))


async def settled(region: Troubled, place: Site) -> HostId:
    """Wait until nothing is under way; return where the engine has the container."""
    async with asyncio.timeout(WITHIN_S):
        while not is_quiet(fleet := (await place.region()).fleet):
            region.tend()
            await asyncio.sleep(0.1)
    for host in HOSTS:
        await place.listening(host)
    (one,) = members(fleet, "app")
    return one.host


async def alone(region: Troubled, judge: Judge, located: HostId) -> None:
    """Wait until the canary sings on in this place, and nothing of it is left in the other."""
    stood = judge.length(located)
    await region.until(lambda: judge.length(located) > stood + GROWS_BYTES)
    (other,) = {judge.source, judge.target} - {located}
    home = region.machine.home(other, CONTAINER)
    await region.until(lambda: not home.life.exists())


@pytest.mark.parametrize(("what", "step"), CELLS)
async def test_struck_at_a_step_it_runs_in_one_place_as_it_was(what, step, region):
    strike, _ = STRIKES[what]
    async with site(region.server.url, region.subjects, region.machine.data) as place:
        for _ in range(ROUNDS):
            source = await settled(region, place)
            way = Way(source, next(host for host in HOSTS if host != source))
            async with Judge(region.machine, CONTAINER, *way) as judge:
                strikes = armed(region, way, what, step)
                await place.done("container.migrate", container=CONTAINER, target=way.target)
                await region.until(strikes)
                await strike(region, way)
                located = await settled(region, place)
                await alone(region, judge, located)
            judge.judge(located)
