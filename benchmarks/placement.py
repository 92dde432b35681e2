"""Placement decisions, whole: an ask that places one container and is taken into the fleet."""

import time
from random import Random

from benchmarks.figures import Figure
from benchmarks.fleets import AT, fleet_of
from domain.container import PlaceContainer
from domain.decider import Ask
from domain.messages import AskId
from domain.occupancy import occupancy
from domain.region import Region

DECISIONS = 2_000
GOAL = 5_000
GOAL_HOSTS = 5_000


def run() -> list[Figure]:
    """Measure fleets of 100 to 10,000 hosts with 30 containers each."""
    figures: list[Figure] = []
    for hosts in (100, 1_000, 5_000, 10_000):
        region = Region()
        region.fleet = fleet_of(hosts, 30)
        occupancy(region.fleet)
        dice = Random(1)
        keys = list(region.fleet.layers)
        asks = [
            Ask(AskId(str(n)), PlaceContainer(environment=key[0], layer=key[1]))
            for n, key in enumerate(dice.choices(keys, k=DECISIONS))
        ]
        begun = time.perf_counter()
        for ask in asks:
            region.decide(ask, AT)
        each = (time.perf_counter() - begun) / DECISIONS
        rate = 1 / each
        goal = hosts == GOAL_HOSTS
        figures.append(
            Figure(
                f"placement decisions, {hosts:,} hosts, {hosts * 30:,} containers",
                f"{rate:,.0f}/s ({each * 1e6:,.0f} µs each)",
                goal=f">= {GOAL:,}/s" if goal else "",
                good=rate >= GOAL if goal else None,
            )
        )
    return figures
