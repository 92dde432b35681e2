"""Making room: the cheapest chain of live moves, in fleets with room, nearly full, and full."""

import time

from benchmarks.figures import Figure
from benchmarks.fleets import AT, fleet_of
from domain.chronicle import evolve
from domain.container import ContainerScaled, ContainerStarted
from domain.fleet import Fleet
from domain.ground import Moves, Need, NoRoom
from domain.messages import HostId
from domain.room import make_room

HOSTS = 5_000
A_HOST = 30
GOAL_S = 1.0
TIMES = 3
BUSY = HostId("h00042")


def fleet(free: int) -> Fleet:
    """Return a fleet whose hosts have `free` cloudlets free; their containers hold 1, 2 or 3."""
    made = fleet_of(HOSTS, A_HOST)
    for number, one in enumerate(list(made.containers.values())):
        evolve(made, ContainerStarted(one.id), AT)
        host = made.hosts[one.host]
        more = min(number % 3, max(host.free - free, 0))
        if more:
            evolve(made, ContainerScaled(one.id, 1 + more, 4, 1 + more), AT)
    for one in list(made.containers.values()):
        more = made.hosts[one.host].free - free
        if more > 0:
            now = one.allocated + more
            evolve(made, ContainerScaled(one.id, now, now, now), AT)
    return made


def said(found: Moves | NoRoom) -> str:
    if isinstance(found, NoRoom):
        return f"{found.missing} missing, {'proven' if found.proven else 'gave up'}"
    proof = "cheapest, proven" if found.cheapest else "the cheapest that was seen"
    return f"{len(found.moves)} moves of {found.cloudlets} cloudlets, {proof}"


def run() -> list[Figure]:
    """Measure at 5,000 hosts and 150,000 containers."""
    figures: list[Figure] = []
    for free, cloudlets in ((4, 8), (1, 8), (1, 24), (0, 8)):
        made = fleet(free)
        found = make_room(made, Need(BUSY, cloudlets))
        took: list[float] = []
        for _ in range(TIMES):
            begun = time.perf_counter()
            make_room(made, Need(BUSY, cloudlets))
            took.append(time.perf_counter() - begun)
        figures.append(
            Figure(
                f"make room for {cloudlets} cloudlets, {HOSTS:,} hosts with {free} free each,"
                f" {len(made.containers):,} containers",
                f"{max(took) * 1_000:,.0f} ms ({said(found)})",
                goal="<= 1 s",
                good=max(took) <= GOAL_S,
            )
        )
    return figures
