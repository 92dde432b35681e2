"""The relay: publishes every event of the journal on the bus, once and in order.

The stream EVT holds nothing but the events of the journal, from the first one on, so the sequence
of a message there *is* the position of its event. Every publish says which sequence must come
before it: whatever repeats, overtakes or competes, each place can only be taken by the event that
belongs there, and the stream's last sequence is the relay's checkpoint. A relay that finds
another one ahead of it steps back until that one falls silent.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Generic, NoReturn

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, OutboundBufferLimitError
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from domain.subjects import Subjects
from projections.cancellation import heed_cancellation
from projections.cloudevents import CONTENT_TYPE, PublicEvent, public_event
from projections.feed import Frames, H, last_position, placed

WINDOW = 256
"""Messages that may be under way, not yet acknowledged."""
WINDOW_BYTES = 1024 * 1024
"""Bytes that may be under way before the next message waits."""
ACK_MAX_S = 5.0
"""How long nothing may be acknowledged before the stream is asked where it stands."""
RETRY_S = 0.5
"""How long to wait before going on after the bus or the stream was not there."""
PATIENCE_S = 2.0
"""How long another relay may be silent before this one goes on in its place."""
HEADER_ROOM = 1_024
"""Bytes of a message kept for its headers: the bus counts them, nats-py does not."""
POSITION = "Restow-Position"
RELAY = "Restow-Relay"
WRONG_SEQUENCE = {10071, 10164}

log = structlog.stdlib.get_logger(__name__)


class StreamDivergedError(RuntimeError):
    """EVT does not hold the events of this journal. Remove the stream; it is filled anew."""


class NotStored(msgspec.Struct, frozen=True):
    """Why JetStream refused a message."""

    err_code: int = 0
    description: str = ""


class Ack(msgspec.Struct, frozen=True):
    """JetStream's answer to a publish."""

    seq: int = 0
    error: NotStored | None = None


class Standing(msgspec.Struct, frozen=True):
    """Where EVT stands: its last position, and where known who wrote what there."""

    position: int
    relay: str = ""
    subject: str = ""


_acks = msgspec.json.Decoder(Ack)


class Window:
    """What is under way. All events up to `position` are stored.

    `refused`: a place was taken already, by another relay or by an earlier try.
    """

    def __init__(self, nc: Client, relay: str, after: int) -> None:
        self.position = after
        self.refused = False
        self._nc = nc
        self._relay = relay
        self._inbox = nc.new_inbox()
        self._sent = after
        self._under_way: dict[int, int] = {}
        self._bytes = 0
        self._moved = asyncio.Event()
        self._trouble: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Hear acknowledgements while the block runs."""
        heard = await self._nc.subscribe(  # pyright: ignore[reportUnknownMemberType] -- of `future=`
            f"{self._inbox}.*", cb=self._on_ack
        )
        try:
            yield
        finally:
            if not self._nc.is_closed:
                await heard.unsubscribe()

    async def send(self, event: PublicEvent) -> None:
        """Publish the next event, once there is room for it."""
        while len(self._under_way) >= WINDOW or self._bytes >= WINDOW_BYTES:
            self._moved.clear()
            await self._moved.wait()
        self._sent = event.position
        self._under_way[event.position] = len(event.body)
        self._bytes += len(event.body)
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Nats-Msg-Id": event.id,
            "Nats-Expected-Last-Sequence": str(event.position - 1),
            POSITION: str(event.position),
            RELAY: self._relay,
        }
        reply = f"{self._inbox}.{event.position}"
        try:
            await self._nc.publish(event.subject, event.body, reply, headers)
        except OutboundBufferLimitError:
            self._stall("the bus is away")

    async def stalled(self) -> str:
        """Wait until publishing cannot go on, and return why."""
        while True:
            oldest = next(iter(self._under_way), None)
            await asyncio.wait((self._trouble,), timeout=ACK_MAX_S)
            if self._trouble.done():
                return self._trouble.result()
            if oldest is not None and oldest in self._under_way:
                return f"position {oldest} was not acknowledged"

    async def _on_ack(self, message: Msg) -> None:
        position = int(message.subject.rpartition(".")[2])
        if not message.data:
            self._stall("there is no stream EVT, or it has no leader")
            return
        ack = _acks.decode(message.data)
        if ack.error is not None:
            self.refused = ack.error.err_code in WRONG_SEQUENCE
            self._stall(f"position {position} was refused: {ack.error.description}")
        elif ack.seq != position:
            self._stall(f"position {position} came to stand at sequence {ack.seq}")
        else:
            self._bytes -= self._under_way.pop(position, 0)
            self.position = next(iter(self._under_way), self._sent + 1) - 1
            self._moved.set()

    def _stall(self, why: str) -> None:
        if not self._trouble.done():
            self._trouble.set_result(why)


class Relay(Generic[H]):
    """Publishes the journal of one region, while no other relay does."""

    def __init__(self, nc: Client, subjects: Subjects, frames: Frames[H]) -> None:
        self.name = nc.new_inbox().rpartition(".")[2]
        self._nc = nc
        self._js = nc.jetstream()  # pyright: ignore[reportUnknownMemberType] -- of its options
        self._subjects = subjects
        self._stream = subjects.stream("EVT")
        self._frames = frames
        self._window = Window(nc, self.name, after=0)
        self._base: tuple[int, H | None] = (0, None)
        self._passed: deque[tuple[int, H]] = deque()

    @property
    def position(self) -> int:
        """Position of the last event known to be published."""
        return self._window.position

    async def run(self) -> NoReturn:
        """Publish for ever. Raises `StreamDivergedError`, and what the frames raise, in a group."""
        while True:
            standing = await self._standing()
            await self._go_back_to(standing.position)
            window = self._window = Window(self._nc, self.name, standing.position)
            why = await self._publish(window, standing)
            await log.ainfo("relay.stalled", position=window.position, why=why)
            if window.refused:
                await self._let_another_publish()
            else:
                await asyncio.sleep(RETRY_S)

    async def _publish(self, window: Window, standing: Standing) -> str:
        """Publish what follows `standing` until that stalls, and return why it did."""
        async with window.listening(), asyncio.TaskGroup() as group:
            sending = group.create_task(self._send_all(window, standing))
            why = await window.stalled()
            sending.cancel()
        return why

    async def _send_all(self, window: Window, standing: Standing) -> None:
        body_max = self._nc.max_payload - HEADER_ROOM
        async with aclosing(self._frames.follow(self._base[1])) as frames:
            async for head, frame in frames:
                for at in placed(frame, standing.position - 1):
                    event = public_event(self._subjects, at, body_max)
                    if at.position > standing.position:
                        await window.send(event)
                    elif standing.subject not in ("", event.subject):
                        raise StreamDivergedError(_differs(standing, event))
                self._passed.append((last_position(frame), head))
                self._leave_behind(window.position)

    def _leave_behind(self, position: int) -> None:
        """Keep the last head whose events are all published: from there the feed is taken up."""
        while self._passed and self._passed[0][0] <= position:
            self._base = self._passed.popleft()

    async def _go_back_to(self, position: int) -> None:
        """Take the feed up shortly before `position`, whose event is compared once more."""
        self._leave_behind(position - 1)
        self._passed.clear()
        known, head = self._base
        if known >= position or head is None:
            before = max(0, position - 1)
            self._base = (before, await self._frames.before(before))

    async def _let_another_publish(self) -> None:
        """Wait until nobody else publishes. Of two that got into each other's way, one goes on."""
        standing = await self._standing()
        while standing.relay != self.name:
            await asyncio.sleep(PATIENCE_S)
            now = await self._standing()
            if now.position == standing.position:
                return
            standing = now

    async def _standing(self) -> Standing:
        """Ask the stream where it stands, until it answers. Raises `StreamDivergedError`."""
        while True:
            try:
                standing = await self._ask()
            except ConnectionClosedError:
                raise
            except NatsError as error:
                await log.ainfo("relay.waiting", stream=self._stream, why=repr(error))
                await asyncio.sleep(RETRY_S)
            else:
                heed_cancellation()
                return standing

    async def _ask(self) -> Standing:
        position = (await self._js.stream_info(self._stream)).state.last_seq
        if not position:
            return Standing(0)
        try:
            last = await self._js.get_msg(self._stream, seq=position)
        except NotFoundError:
            return Standing(position)
        headers = msgspec.convert(
            last.headers or {},  # pyright: ignore[reportUnknownMemberType]
            dict[str, str],
        )
        if headers.get(POSITION) != str(position):
            said = f"sequence {position} of {self._stream} was not written by a relay"
            raise StreamDivergedError(said)
        return Standing(position, headers.get(RELAY, ""), last.subject or "")


def _differs(standing: Standing, event: PublicEvent) -> str:
    return f"position {standing.position} stands in EVT as {standing.subject}, not {event.subject}"
