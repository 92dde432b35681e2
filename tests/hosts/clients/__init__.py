"""Clients of programs that move: `python -m tests.hosts.clients.redis ADDRESS`.

Each begins something, says a line whenever it got a step further, and goes on until its standard
input ends; then it brings to an end what it began, looks whether all is as it must be, and says
`good`. Whatever is not as it must be ends it with an error.
"""

import select
import sys
import time
from collections.abc import Iterator

WITHIN_S = 60.0
"""No answer takes longer than this, moves or not."""
PAUSE_S = 0.002
GOOD = "good"


def steps() -> Iterator[int]:
    """Yield a number for each step, and say it once it is done, until told to end."""
    number = 0
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        number += 1
        yield number
        say(str(number))


def say(line: str) -> None:
    sys.stdout.write(f"{time.monotonic():.4f} {line}\n")
    sys.stdout.flush()
