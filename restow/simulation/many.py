"""Many worlds, one after another, and what they came to."""

from collections.abc import Iterable, Iterator

import msgspec

from restow.simulation.shrinking import lived
from restow.simulation.stories import Story
from restow.simulation.violation import WENT_WRONG
from restow.simulation.world import START


class Sum(msgspec.Struct):
    """What the worlds came to so far. `wrong` are the seeds of those in which something was."""

    worlds: int = 0
    simulated_ms: int = 0
    frames: int = 0
    events: int = 0
    wrong: list[int] = []


def simulate(seeds: Iterable[int]) -> Iterator[Sum]:
    """Live the story of each seed, and give the sum so far after each."""
    sum_ = Sum()
    for seed in seeds:
        sum_.worlds += 1
        try:
            world = lived(Story(seed))
        except WENT_WRONG:
            sum_.wrong.append(seed)
        else:
            sum_.simulated_ms += world.now - START
            sum_.frames += len(world.journal)
            sum_.events += world.region.position
        yield sum_
