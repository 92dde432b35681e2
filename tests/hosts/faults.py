"""What may be struck while a container moves, and at which steps of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from domain.messages import ContainerId, HostId
from handlers.agent.runc.moving import images_of
from tests.engine.site import site
from tests.hosts.troubled import HOSTS, WITHIN_S, Troubled

CONTAINER = ContainerId("node1")
LASTS_S = 1.0
"""So long a server is away, or a link is cut."""


class Way(NamedTuple):
    """One move: from where, and to where."""

    source: HostId
    target: HostId


Strike = Callable[[Troubled, Way], Awaitable[None]]
"""Does harm while an agent stands at a step; it lets that go on when it may."""


def let_go(region: Troubled) -> None:
    for host in HOSTS:
        region.sprung(host).unlink(missing_ok=True)


async def source_agent(region: Troubled, way: Way) -> None:
    region.kill(way.source)
    let_go(region)


async def target_agent(region: Troubled, way: Way) -> None:
    region.kill(way.target)
    let_go(region)


async def both_agents(region: Troubled, way: Way) -> None:
    region.kill(*way)
    let_go(region)


async def engine(region: Troubled, way: Way) -> None:
    region.kill("e1")
    let_go(region)


async def nats(region: Troubled, way: Way) -> None:
    region.server.kill()
    let_go(region)
    await asyncio.sleep(LASTS_S)
    await region.server.restart()


async def link(region: Troubled, way: Way) -> None:
    region.cut()
    let_go(region)
    await asyncio.sleep(LASTS_S)
    region.mend()


async def image(region: Troubled, way: Way) -> None:
    pages = min(images_of(region.machine.home(way.target, CONTAINER)).glob("pages-*.img"))
    pages.write_bytes(pages.read_bytes()[:-1] + b"\xff")
    let_go(region)


async def disk(region: Troubled, way: Way) -> None:
    filler = region.fill(way.target)
    let_go(region)
    async with site(region.server.url, region.subjects, region.machine.data) as place:
        async with asyncio.timeout(WITHIN_S):
            while any(
                not one.finished_at for one in (await place.region()).fleet.migrations.values()
            ):
                region.tend()
                await asyncio.sleep(0.1)
    filler.unlink()


async def killed(region: Troubled, way: Way) -> None:
    """A program has killed itself: see `Troubled.wrapper`."""


SOURCE_STEPS = ("checked", "copying", "frozen", "handed-over", "resumed")
TARGET_STEPS = ("prepared", "went", "ran")
STRIKES: Mapping[str, tuple[Strike, tuple[str, ...]]] = {
    "source agent": (source_agent, SOURCE_STEPS),
    "target agent": (target_agent, TARGET_STEPS),
    "both agents": (both_agents, ("frozen", "prepared", "handed-over", "went")),
    "engine": (engine, ("checked", "frozen", "handed-over")),
    "NATS": (nats, ("copying", "frozen", "prepared", "handed-over")),
    "link between agents": (link, ("checked", "frozen")),
    "image on the target": (image, ("prepared",)),
    "disk of the target": (disk, ("checked",)),
    "agent that saves": (killed, ("dump",)),
    "runc": (killed, ("dump", "restore")),
}
PROGRAMS = {"runc": "runc"}
"""What is killed by a wrapper of it; an agent is, in a dump, by that of CRIU."""
MARKS = {"dump": "Dumping task", "restore": "Forking task"}
"""A line of CRIU's log: so far a dump, or a restore, has come."""
CELLS = [(what, step) for what, (_, steps) in STRIKES.items() for step in steps]


def armed(region: Troubled, way: Way, what: str, step: str) -> Callable[[], bool]:
    """Set the trap of a cell; what is returned tells whether somebody is in it, or is dead."""
    at = way.source if step in (*SOURCE_STEPS, "dump") else way.target
    if step not in MARKS:
        region.trap(at).write_text(step)
        return region.sprung(at).exists
    log = region.machine.home(at, CONTAINER).run / f"{step}.log"
    log.unlink(missing_ok=True)
    name, victim = PROGRAMS.get(what, "criu"), 0 if what in PROGRAMS else region.pid(at)
    trap, sprung = region.trap(at, name), region.sprung(at, name)
    trap.write_text(f"{victim} {log} {MARKS[step]}\n")
    return lambda: not trap.exists() and not sprung.exists()
