"""The bare limit: a service that appends the same bytes, batched alike, and answers. No Restow.

Run as a process: `python -m benchmarks.echo URL BYTES`.
"""

import asyncio
import sys

from nats.aio.client import Client
from nats.aio.msg import Msg

STREAM = "ECHO"
SUBJECT = "echo.log"
CALL = "echo.call"
ANSWER = b'{"status":"done"}'
BATCH_MAX = 512


async def serve(url: str, size: int) -> None:
    """Append `size` bytes for every call, all waiting calls in one message, and answer."""
    bus = Client()
    await bus.connect(url)
    stream = bus.jetstream()
    await stream.add_stream(name=STREAM, subjects=[SUBJECT])
    waiting: list[Msg] = []
    arrived = asyncio.Event()

    async def hear(message: Msg) -> None:
        waiting.append(message)
        arrived.set()

    await bus.subscribe(CALL, cb=hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
    print("ready", flush=True)  # noqa: T201 - to the parent process
    while True:
        await arrived.wait()
        batch, waiting[:] = waiting[:BATCH_MAX], waiting[BATCH_MAX:]
        if not waiting:
            arrived.clear()
        await bus.request(SUBJECT, b"x" * (size * len(batch)), timeout=10)
        for message in batch:
            await bus.publish(message.reply, ANSWER)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
