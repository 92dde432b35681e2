"""The time, as the engine tells it to the domain."""

import time

from domain.messages import Instant


def now() -> Instant:
    """Return the time: milliseconds since 1970-01-01T00:00:00Z."""
    return Instant(time.time_ns() // 1_000_000)
