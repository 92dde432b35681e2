"""How a process is told to stop: Ctrl-C, SIGTERM, or a terminal that closes."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Generator[asyncio.Event]:
    """Return an event that is set by Ctrl-C, SIGTERM or a terminal that closes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
