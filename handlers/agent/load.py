"""What a simulated container is to use, as its variable LOAD says: `3`, or `1..6/20s`.

The numbers are cloudlets. `1..6/20s` rises from 1 to 6 and falls again, once in 20 seconds of the
container's life; `1..6/20s@5s` does so by the clock, 5 seconds ahead of it, so that all containers
rise together. Without LOAD it uses a part of what it holds, so that it never needs more.
"""

import re
from collections.abc import Mapping

import msgspec

from handlers.agent.runtime import RuntimeFailedError

VARIABLE = "LOAD"
_NUMBER = r"(\d{1,5}(?:\.\d{1,3})?)"
_STEADY = re.compile(_NUMBER)
_WAVE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}/([1-9]\d{{0,4}})s(?:@(\d{{1,5}})s)?")


class Load(msgspec.Struct, frozen=True):
    """From `low` to `high` cloudlets and back, once in `period_ms`.

    By the age of a container, or where it is `ahead_ms` of the clock, by that.
    """

    low: float
    high: float
    period_ms: int = 1
    ahead_ms: int | None = None

    def at(self, age_ms: float, clock_ms: float = 0.0) -> float:
        """Return how many cloudlets are used at this age, and at this time."""
        moment = age_ms if self.ahead_ms is None else clock_ms + self.ahead_ms
        turn = moment % self.period_ms / self.period_ms
        return self.low + (self.high - self.low) * (1 - abs(2 * turn - 1))


def load_of(variables: Mapping[str, str]) -> Load | None:
    """Return the load that a container's variables ask for. Raises `RuntimeFailedError`."""
    text = variables.get(VARIABLE)
    if text is None:
        return None
    if steady := _STEADY.fullmatch(text):
        return Load(float(steady[1]), float(steady[1]))
    if wave := _WAVE.fullmatch(text):
        ahead = int(wave[4]) * 1_000 if wave[4] else None
        return Load(float(wave[1]), float(wave[2]), int(wave[3]) * 1_000, ahead)
    message = f"{VARIABLE} is {text!r}; it must be cloudlets, like 3 or 1..6/20s"
    raise RuntimeFailedError(message)
