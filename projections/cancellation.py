"""Being cancelled after all, where a library forgot it."""

import asyncio


def heed_cancellation() -> None:
    """Stop a task that was told to while it got a reply.

    nats-py waits for replies with `wait_for`, which on Python 3.11 forgets a cancellation that
    comes at the same moment.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
