"""The loop that engines and the read side run in: uvloop's, which does less for each message.

Where there is no uvloop, asyncio's own does all of it, too.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")


def run(work: Coroutine[None, None, T]) -> T:
    """Run what a process does to its end, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=_loops()) as runner:
        return runner.run(work)


def _loops() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - it may be missing
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
