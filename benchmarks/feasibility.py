"""Feasibility: may a host with 200 containers be emptied, in a fleet of 5,000 hosts?"""

import time

from benchmarks.figures import Figure
from benchmarks.fleets import AT, fleet_of
from domain.chronicle import evolve
from domain.container import ContainerPlaced, Placing
from domain.feasibility import can_leave
from domain.fleet import Fleet
from domain.host import HostRegistered
from domain.messages import ContainerId, HostId
from domain.occupancy import occupancy

HOSTS = 5_000
CONTAINERS = 200
GOAL_S = 1.0
FULL = HostId("full")
NODE = 1_000_000
WHY = Placing("spread", HOSTS, HOSTS)


def crowded(size: int) -> Fleet:
    """Return a fleet of 5,000 hosts, and one more that carries 200 containers of this size."""
    fleet = fleet_of(HOSTS, 30)
    room = CONTAINERS * size
    evolve(fleet, HostRegistered(FULL, room, room, room * 128, room * 400, {"zone": "z0"}), AT)
    keys = list(fleet.layers)
    for n in range(CONTAINERS):
        one = ContainerId(f"node{NODE + n}")
        home, layer = keys[n]
        placed = ContainerPlaced(
            one, home, layer, 99, FULL, size, size, 1, f"{one}-e", "10.0.0.1", WHY
        )
        evolve(fleet, placed, AT)
    return fleet


def run() -> list[Figure]:
    """Measure a host that can be emptied, and one that cannot."""
    figures: list[Figure] = []
    for size, what in ((2, "that can"), (40, "that cannot")):
        fleet = crowded(size)
        occupancy(fleet)
        begun = time.perf_counter()
        verdict = can_leave(fleet, FULL)
        took = time.perf_counter() - begun
        figures.append(
            Figure(
                f"feasibility of evacuating a host with {CONTAINERS} containers among {HOSTS:,},"
                f" one {what} be emptied",
                f"{took:.2f} s ({verdict.answer})",
                goal=f"<= {GOAL_S:g} s",
                good=took <= GOAL_S,
            )
        )
    return figures
