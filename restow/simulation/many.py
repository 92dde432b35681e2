"""Many worlds, one after another, and what they came to."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from restow.simulation.shrinking import lived
from restow.simulation.stories import Story
from restow.simulation.strikes import live
from restow.simulation.violation import WENT_WRONG, ViolationError
from restow.simulation.world import START


class Sum(msgspec.Struct):
    """What the worlds came to so far. `wrong` are the seeds of those in which something was."""

    worlds: int = 0
    simulated_ms: int = 0
    frames: int = 0
    events: int = 0
    wrong: list[int] = []


class Life(msgspec.Struct, frozen=True):
    """How long a world lived, and what was written down of it."""

    simulated_ms: int
    frames: int
    events: int


def world_of(seed: int) -> Life:
    """Live the story of a seed. Raises what `WENT_WRONG` lists."""
    world = lived(Story(seed))
    return Life(world.now - START, len(world.journal), world.region.position)


def town_of(seed: int) -> Life:
    """Live a town of hosts that hold leases, and nothing else. Raises what `WENT_WRONG` lists."""
    town = live(seed)
    if town.lost:
        raise ViolationError(town.story(f"lost for ever: {', '.join(town.lost)}"))
    return Life(town.now, town.asked, town.journal.position)


def simulate(seeds: Iterable[int], life_of: Callable[[int], Life] = world_of) -> Iterator[Sum]:
    """Live what each seed stands for, and give the sum so far after each."""
    sum_ = Sum()
    for seed in seeds:
        sum_.worlds += 1
        try:
            life = life_of(seed)
        except WENT_WRONG:
            sum_.wrong.append(seed)
        else:
            sum_.simulated_ms += life.simulated_ms
            sum_.frames += life.frames
            sum_.events += life.events
        yield sum_
