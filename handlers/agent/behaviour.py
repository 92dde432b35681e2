"""How simulated things behave: how long what takes and how often it fails, all from a seed."""

from collections.abc import Mapping
from random import Random

import msgspec

Span = tuple[int, int]
"""From, to: milliseconds."""

DURATIONS_MS: Mapping[str, Span] = {
    "start": (300, 1_200),
    "healthy": (400, 1_500),
    "stop": (50, 300),
    "restart": (400, 1_500),
    "redeploy": (600, 2_500),
    "fetch": (100, 800),
    "halt": (50, 300),
    "resize": (10, 16),
    "receive": (5, 20),
    "copy": (20, 40),  # for each cloudlet
    "pause": (5, 25),
    "dump": (60, 200),
    "transfer": (20, 120),
    "prepare": (80, 250),
    "go": (5, 25),
    "reach": (5, 30),
    "drop": (20, 60),
    "crash": (5_000, 60_000),
    "route-in": (10, 24),
    "route-out": (10, 24),
}


class Behaviour(msgspec.Struct, frozen=True):
    """`speed` 1000 makes everything a thousand times faster; `durations_ms` are exceptions.

    `failures` are probabilities by kind of work (the keys of `DURATIONS_MS`), 0 where absent;
    of "healthy" it is that of never becoming healthy, of "receive" that of having no room, and
    of "crash" that of a process dying by itself some time after its start.
    """

    seed: int = 0
    speed: float = 1.0
    failures: Mapping[str, float] = {}
    durations_ms: Mapping[str, Span] = {}


class Dice:
    """Draws for one host. The same question gets the same answer, in whatever order they come."""

    def __init__(self, behaviour: Behaviour, host: str) -> None:
        self._behaviour = behaviour
        self._host = host

    def lasts_ms(self, kind: str, what: str) -> float:
        """Return how long one piece of work takes, in simulated milliseconds."""
        low, high = self._behaviour.durations_ms.get(kind, DURATIONS_MS[kind])
        return self._random("lasts", kind, what).uniform(low, high)

    def fails(self, kind: str, what: str) -> bool:
        chance = self._behaviour.failures.get(kind, 0.0)
        return self._random("fails", kind, what).random() < chance

    def share(self, kind: str, what: str) -> float:
        """Return a number from 0 to 1."""
        return self._random("share", kind, what).random()

    def _random(self, *purpose: str) -> Random:
        return Random("/".join((str(self._behaviour.seed), self._host, *purpose)))  # noqa: S311
