"""What the agents say of their containers, heard from the bus beside everything else.

A simulated container is a counter that goes on while it runs: it begins again with a restart, and
goes on after a live migration. Usage samples carry it, and are written down by nobody.
"""

from collections import defaultdict
from itertools import pairwise

import msgspec

from domain.agent import Usage


class Seen(msgspec.Struct, frozen=True):
    """One sample of a container: where it ran, what it had counted to, how often restarted."""

    host: str
    at: int
    count: int
    restarts: int


class Watching:
    """All samples so far, in the order they came."""

    def __init__(self) -> None:
        self.samples: defaultdict[str, list[Seen]] = defaultdict(list)

    def take(self, usage: Usage) -> None:
        """Take in what one host said."""
        for one in usage.containers:
            seen = Seen(usage.host, usage.at, one.count, one.restarts)
            self.samples[one.container].append(seen)

    def on(self, container: str, host: str) -> list[Seen]:
        """Return the samples of a container on one host."""
        return [seen for seen in self.samples[container] if seen.host == host]

    def twice(self, container: str) -> bool:
        """Say whether a host told of a container after another one had begun to."""
        hosts = [seen.host for seen in sorted(self.samples[container], key=lambda seen: seen.at)]
        left = {here for here, after in pairwise(hosts) if here != after}
        turns = sum(here != after for here, after in pairwise(hosts))
        return turns > len(left)

    def restarts(self, container: str) -> int:
        """Return how often a container was restarted, as its host says."""
        return max((seen.restarts for seen in self.samples[container]), default=0)
