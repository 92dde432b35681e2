"""What the agents say of their containers, heard from the bus beside everything else.

A simulated container is a counter that goes on while it runs: it begins again with a restart, and
goes on after a live migration. Usage samples carry it, and are written down by nobody.
"""

from collections import defaultdict

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

    def restarts(self, container: str) -> int:
        """Return how often a container was restarted, as its host says."""
        return max((seen.restarts for seen in self.samples[container]), default=0)
