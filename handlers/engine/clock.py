"""The time, as the engine tells it to the domain: that of the machine, without its jumps."""

import time
from collections.abc import Callable

import structlog

from domain.messages import Instant

log = structlog.stdlib.get_logger(__name__)

SLEW = 0.01
"""By what share of the time that passes the date is followed."""
JUMP_NS = 1_000_000_000
"""What differs by more has been set, and has not drifted."""
STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while a machine is suspended, where there is such a clock."""


def _steady_ns() -> int:
    return time.clock_gettime_ns(STEADY)


class Clock:
    """Begins with the date and goes on by a clock that never jumps; the date is followed slowly.

    The journal's time never goes back: were an hour too much let in, every deadline would wait
    for an hour, whoever leads, also after the date was put right.
    """

    def __init__(
        self,
        date_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = _steady_ns,
    ) -> None:
        self._date_ns = date_ns
        self._steady_ns = steady_ns
        self._steady = steady_ns()
        self._now = date_ns()
        self._apart = False

    def now(self) -> Instant:
        """Return the time: milliseconds since 1970-01-01T00:00:00Z."""
        before, self._steady = self._steady, self._steady_ns()
        passed = self._steady - before
        self._now += passed
        behind = self._date_ns() - self._now
        self._tell(behind)
        most = int(passed * SLEW)
        self._now += max(-most, min(most, behind))
        return Instant(self._now // 1_000_000)

    def _tell(self, behind: int) -> None:
        """Say once that the date was set, and once that it agrees again."""
        if (abs(behind) > JUMP_NS) != self._apart:
            self._apart = not self._apart
            event = "engine.date_jumped" if self._apart else "engine.date_agrees"
            log.warning(event, ahead_s=round(behind / 1e9, 3), followed_by=SLEW)


now = Clock().now
