"""One message, put at one place of a stream for certain, sent until it is known to stand there.

An acknowledgement can be lost while the message is not. The same bytes under the same id, told
which sequence they must follow, can be sent as often as needed; what stands at the place is asked
of the stream's leader.
"""

import asyncio
import time
from collections.abc import Mapping
from enum import Enum, auto

import msgspec

from handlers.bus import (
    Bus,
    BusClosedError,
    BusUnavailableError,
    Listening,
    Message,
    arrival,
    connections,
    fits,
    listen,
    send,
    silence,
    size,
)
from handlers.journal.stream import (
    UNAVAILABLE,
    ApiError,
    JetStreamError,
    message_at,
)

PATIENCE_S = 30.0
"""How long an unknown outcome is pursued: longer than an election, shorter than the server
remembers ids."""
ACK_S = 1.0
"""An acknowledgement that takes longer is asked for again."""
PAUSE_MIN_S = 0.001
PAUSE_MAX_S = 0.1

MESSAGE_ID = "Nats-Msg-Id"
AFTER = "Nats-Expected-Last-Sequence"
WRONG_LAST_SEQUENCE = 10071
TRY_AGAIN = frozenset({10158, 10164, 10167})
"""The id is just being stored; the subject is just being written; too much is waiting."""


class FrameTooLargeError(ValueError):
    """The message does not pass the server's `max_payload`. Nothing was sent."""


class Letter(msgspec.Struct, frozen=True):
    """A message and the sequence it must directly follow. Its id is its own, of all ever sent."""

    subject: str
    data: bytes
    id: str
    after: int
    headers: Mapping[str, str]

    def all_headers(self) -> dict[str, str]:
        return {MESSAGE_ID: self.id, AFTER: str(self.after), **self.headers}


class _Ack(msgspec.Struct, frozen=True):
    seq: int = 0
    duplicate: bool = False
    error: ApiError | None = None


class _Verdict(Enum):
    STORED = auto()
    LOOK = auto()
    AGAIN = auto()


class Sender:
    """Puts letters into one stream, one at a time. `open` it first, close it when done."""

    def __init__(self, bus: Bus, stream: str) -> None:
        self._bus = bus
        self._stream = stream
        self._inbox = bus.new_inbox()
        self._sent = 0
        self._replies = asyncio.Queue[Message]()
        self._listening: Listening | None = None

    async def open(self) -> None:
        """Start to listen for acknowledgements, which is needed before anything is sent."""
        self._listening = await listen(self._bus, f"{self._inbox}.*", self._replies.put)

    async def close(self) -> None:
        """Stop listening."""
        if self._listening:
            await silence(self._bus, self._listening)

    async def store(self, letter: Letter) -> bool:
        """Store a letter directly after the sequence it names.

        Returns True if it stands there, False if another message does. Raises
        `FrameTooLargeError`, `JetStreamError`, and `BusUnavailableError` if it is not known after
        `PATIENCE_S` or the connection is closed.
        """
        headers = letter.all_headers()
        if not fits(self._bus, letter.data, headers):
            taken = size(letter.data, headers)
            message = f"{taken} bytes; the server's max_payload is {self._bus.max_payload}"
            raise FrameTooLargeError(message)
        self._sent += 1
        give_up = time.monotonic() + PATIENCE_S
        pause = PAUSE_MIN_S
        while time.monotonic() < give_up:
            match _verdict(letter, await self._send(letter, headers)):
                case _Verdict.STORED:
                    return True
                case _Verdict.LOOK:
                    stands = await self._id_at(letter.after + 1)
                    if stands is not None:
                        return stands == letter.id
                case _Verdict.AGAIN:
                    pass
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX_S)
        message = f"not known after {PATIENCE_S:.0f} s whether {letter.id} was stored"
        raise BusUnavailableError(message)

    async def _send(self, letter: Letter, headers: dict[str, str]) -> Message | None:
        """Send once, and return the reply to this or an earlier try; None if there is none."""
        if not self._bus.is_connected and not self._bus.is_closed:
            return None  # else every try would wait in nats-py's buffer
        reply_to = f"{self._inbox}.{self._sent}"
        since = connections(self._bus)
        try:
            await send(self._bus, letter.subject, letter.data, reply_to, headers)
        except BusClosedError:
            raise
        except BusUnavailableError:
            return None
        while reply := await arrival(self._bus, self._replies, since, ACK_S):
            if reply.subject == reply_to:
                return reply  # and no late one, of the letter before
        return None

    async def _id_at(self, seq: int) -> str | None:
        try:
            stored = await message_at(self._bus, self._stream, seq)
        except BusClosedError:
            raise
        except BusUnavailableError:
            return None
        return stored.header(MESSAGE_ID) if stored else None


def _verdict(letter: Letter, reply: Message | None) -> _Verdict:
    """Return what a reply says of its letter. Raises `JetStreamError` if it can never be stored."""
    if reply is None or not reply.data:
        return _Verdict.AGAIN  # no reply, or nobody there
    ack = msgspec.json.decode(reply.data, type=_Ack)
    if ack.error is None:
        plain = not ack.duplicate and ack.seq == letter.after + 1
        return _Verdict.STORED if plain else _Verdict.LOOK
    if ack.error.err_code == WRONG_LAST_SEQUENCE:
        return _Verdict.LOOK
    if ack.error.err_code in TRY_AGAIN or ack.error.code == UNAVAILABLE:
        return _Verdict.AGAIN
    raise JetStreamError(letter.subject, ack.error)
