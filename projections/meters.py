"""What the parts of the read side count that speak to the bus."""

from collections.abc import Iterator

from domain.meters import Family, Meter
from projections.queries import Progress
from projections.reads import Reads

READ = Meter("restow_reads_position", "gauge", "Position that answers on the bus are true at.")
GOAL = Meter("restow_reads_goal", "gauge", "Position that it had to reach before it answered.")
RELAYED = Meter("restow_relay_position", "gauge", "Position up to which events are public.")
THERE = Meter("restow_fleet", "gauge", "How many there are of what, and what of it goes on.")

METERS = (READ, GOAL, RELAYED, THERE)


def families(reads: Reads, progress: Progress, relayed: int) -> Iterator[Family]:
    """Yield what is known of the region, and how far that is."""
    yield READ.of(reads.position)
    yield GOAL.of(progress.goal)
    yield RELAYED.of(relayed)
    yield THERE.by("what", reads.totals())
