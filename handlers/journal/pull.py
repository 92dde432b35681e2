"""Messages of a stream in order, fetched as fast as they are used and no faster.

Two requests overlap, so that the pipe never drains; messages come through one callback, for
nats-py's own `fetch` starts a task per message and its ordered consumer loses messages.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import msgspec

from handlers.bus import (
    Bus,
    BusUnavailableError,
    Message,
    arrival,
    connections,
    listen,
    send,
    silence,
)
from handlers.journal.stream import SECOND, api

BATCH = 500
"""Messages of one request."""
BATCH_BYTES = 8 * 1024 * 1024
EXPIRES_S = 2
"""When a request that found nothing is answered."""
SILENCE_S = 2 * EXPIRES_S
"""A consumer that says nothing for so long is gone."""
UNHEARD = f"reconnected, or nothing heard for {SILENCE_S} s"
INACTIVE_S = 60
EXPIRED = "408"
CONFLICT = "409"
COMPLETED = frozenset({"Batch Completed", "Message Size Exceeds MaxBytes"})
ACK_TOKENS = 9
"""`$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`."""
ACK_SEQ = 5
ACK_SEQ_WITH_DOMAIN = 7


class ConsumerLostError(RuntimeError):
    """The server no longer has our consumer, or we cannot hear it. Make another."""


class _Consumer(msgspec.Struct, frozen=True):
    name: str
    opt_start_seq: int
    deliver_policy: str = "by_start_sequence"
    ack_policy: str = "none"
    inactive_threshold: int = INACTIVE_S * SECOND
    mem_storage: bool = True
    num_replicas: int = 1


REQUEST = msgspec.json.encode(
    {"batch": BATCH, "max_bytes": BATCH_BYTES, "expires": EXPIRES_S * SECOND}
)


async def pull(bus: Bus, stream: str, first: int) -> AsyncGenerator[Message | None]:
    """Yield the messages of a stream from sequence `first` on, for ever.

    Yields None whenever there was nothing new for a while. Raises `ConsumerLostError`,
    `JetStreamError`, `BusUnavailableError`. Close it (`aclosing`) when done.
    """
    inbox = bus.new_inbox()
    name = inbox.rpartition(".")[2]
    arrived = asyncio.Queue[Message]()
    since = connections(bus)
    listening = await listen(bus, inbox, arrived.put)
    try:
        await _create(bus, stream, _Consumer(name=name, opt_start_seq=first))
        owed = 0
        while True:
            while owed <= BATCH:
                await send(bus, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", REQUEST, inbox)
                owed += BATCH
            message = await arrival(bus, arrived, since, SILENCE_S)
            if message is None:
                raise ConsumerLostError(UNHEARD)
            if message.subject != inbox:
                owed -= 1
                yield message
                continue
            code, returned = _ended(message)
            owed -= returned
            if code == EXPIRED:
                yield None
    finally:
        with suppress(BusUnavailableError):
            await silence(bus, listening)
            await send(bus, f"$JS.API.CONSUMER.DELETE.{stream}.{name}", b"")


async def _create(bus: Bus, stream: str, config: _Consumer) -> None:
    body = msgspec.json.encode({"stream_name": stream, "config": config, "action": "create"})
    await api(bus, f"CONSUMER.CREATE.{stream}.{config.name}", body)


def _ended(status: Message) -> tuple[str, int]:
    """Return how a request ended and what it still owed. Raises `ConsumerLostError`."""
    headers = status.headers or {}
    code, text = headers.get("Status", ""), headers.get("Description", "")
    if code == EXPIRED or (code == CONFLICT and text in COMPLETED):
        return code, int(headers.get("Nats-Pending-Messages", 0))
    message = f"consumer lost: {code} {text}"
    raise ConsumerLostError(message)


def stream_seq(message: Message) -> int:
    """Return the place in its stream of a message that came from a consumer."""
    tokens = message.reply.split(".")
    return int(tokens[ACK_SEQ if len(tokens) == ACK_TOKENS else ACK_SEQ_WITH_DOMAIN])
