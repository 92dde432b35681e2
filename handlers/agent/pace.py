"""How often agents do what they do again and again."""

from collections.abc import Iterator

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """Seconds. `retry_*`: from the first to the longest pause between tries of one thing.

    What all containers use is said every `usage_s`, of those that need more than they hold every
    `press_s`.
    """

    hello_s: float = 10.0
    probe_s: float = 1.0
    usage_s: float = 5.0
    press_s: float = 1.0
    ask_s: float = 2.0
    doubt_s: float = 5.0
    retry_min_s: float = 0.2
    retry_max_s: float = 5.0

    def pauses(self) -> Iterator[float]:
        """Return ever longer pauses, without an end."""
        pause = self.retry_min_s
        while True:
            yield pause
            pause = min(2 * pause, self.retry_max_s)


PACE_FASTEST_S = 0.02
PRESS_FASTEST_S = 0.2


def pace_at(speed: float) -> Pace:
    """Return the pace for simulated hosts that are `speed` times faster than real ones."""
    often = min(1.0, max(PACE_FASTEST_S, 1.0 / speed))
    return Pace(probe_s=often, press_s=max(PRESS_FASTEST_S, often))
