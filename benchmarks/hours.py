"""Simulated fleet-hours in a minute of processor time: with every beat, and with beats elided."""

import heapq
import time
from collections.abc import Callable

from benchmarks.figures import Figure
from domain.environment import CreateEnvironment, LayerSpec
from domain.operation import RestartLayer
from restow.simulation.town import Town
from restow.simulation.world import World

HOSTS = 50
HOUR_MS = 3_600_000
HOURS_BEATING = 1
HOURS_ELIDED = 48
ASKED_EVERY_MS = 600_000
BEATING_GOAL, ELIDED_GOAL = 200, 2_000


def a_minute(hours: float, seconds: float) -> float:
    return hours / (seconds / 60)


def took(what: Callable[[], object]) -> float:
    """Return the processor time of a call, in seconds."""
    begun = time.process_time()
    what()
    return time.process_time() - begun


def beating() -> Figure:
    """Let 50 hosts beat for an hour, lease by lease, on clocks and a network of their own."""
    town = Town(1, HOSTS)
    seconds = took(lambda: town.run(HOURS_BEATING * HOUR_MS))
    hours = a_minute(HOURS_BEATING, seconds)
    messages = town.carried
    bare = a_minute(HOURS_BEATING, took(lambda: carry(messages)))
    return Figure(
        f"fleet-hours simulated in a minute of processor time, {HOSTS} hosts, every beat",
        f"{hours:,.0f} ({seconds / messages * 1e6:.1f} µs a message)",
        f"a heap that carries as many messages {bare:,.0f} ({hours / bare:.0%})",
        f">= {BEATING_GOAL}",
        hours >= BEATING_GOAL,
    )


def carry(messages: int) -> None:
    heap: list[tuple[int, int]] = [(number, number) for number in range(HOSTS)]
    for number in range(messages):
        now, _ = heapq.heappop(heap)
        heapq.heappush(heap, (now + HOSTS, number))


def elided() -> Figure:
    """Let people restart a layer every ten minutes; every event is checked by a second region."""
    world = World(1)
    world.hosts(HOSTS)
    layers = tuple(LayerSpec(name=name, count=3) for name in ("app", "sql", "web"))
    world.ask(CreateEnvironment(environment="shop", layers=layers))
    world.settle()
    events = sum(len(c.events) for c in world.commits())

    def live() -> None:
        for number in range(HOURS_ELIDED * HOUR_MS // ASKED_EVERY_MS):
            world.ask(RestartLayer(environment="shop", layer=layers[number % 3].name))
            world.pass_(ASKED_EVERY_MS)

    seconds = took(live)
    events = sum(len(c.events) for c in world.commits()) - events
    hours = a_minute(HOURS_ELIDED, seconds)
    return Figure(
        "the same without beats, a layer of 3 restarted every ten minutes",
        f"{hours:,.0f} ({events:,} events, {seconds / events * 1e6:,.0f} µs each)",
        "each event decided, encoded, read by a second region and checked",
        f">= {ELIDED_GOAL:,}",
        hours >= ELIDED_GOAL,
    )


def run() -> list[Figure]:
    return [beating(), elided()]
