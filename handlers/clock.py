"""A time for leases, on engines and on hosts: it never jumps, whatever the date is set to."""

import time


def clock_ms() -> int:
    """Return a time that goes on over the death of a process, in milliseconds."""
    return time.monotonic_ns() // 1_000_000
