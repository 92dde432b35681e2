"""The bus as an agent knows it: it may be silent for a while, and it never stops listening."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from handlers.bus import Bus, BusUnavailableError, Message, flush, heed_cancellation, request
from handlers.traces import carried

log = structlog.stdlib.get_logger(__name__)

UNLIMITED = -1
LOOK_S = 0.2
"""How often it is looked whether the connection came back."""

Handler = Callable[[bytes], Awaitable[bytes | None]]
"""Takes the bytes of a message and returns those of the answer, if there is one."""


class Link:
    """One connection, shared by the agents of one process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def ask(
        self, subject: str, data: bytes, *, within_s: float, headers: dict[str, str] | None = None
    ) -> bytes | None:
        """Ask once; None where nobody answered in time. It may have been heard all the same."""
        try:
            answer = await request(self._bus, subject, data, within_s=within_s, headers=headers)
        except BusUnavailableError as error:
            await log.adebug("agent.unanswered", subject=subject, error=str(error))
            answer = None
        heed_cancellation()
        return answer

    async def say(self, subject: str, data: bytes) -> None:
        """Publish, or leave it while the bus is away."""
        if self._bus.is_connected:
            await self._bus.publish(subject, data)

    async def listen(self, subject: str, handler: Handler, tasks: asyncio.TaskGroup) -> None:
        """Have every message handled in a task of its own: none waits for another."""

        async def answer(message: Message) -> None:
            with carried(message.headers):
                reply = await handler(message.data)
            if reply is not None and message.reply:
                await self.say(message.reply, reply)

        async def heard(message: Message) -> None:
            work = answer(message)
            try:
                tasks.create_task(work)
            except RuntimeError:  # the agent is ending: as if the message had come later
                work.close()

        await self._bus.subscribe(  # pyright: ignore[reportUnknownMemberType]
            subject, cb=heard, pending_msgs_limit=UNLIMITED, pending_bytes_limit=UNLIMITED
        )

    async def settled(self) -> None:
        """Return when the server knows what we listen to."""
        await flush(self._bus)

    async def back(self, within_s: float) -> None:
        """Wait until the connection was lost and came back, or until the time is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        before = self._bus.stats["reconnects"]
        # The one callback of nats-py for this belongs to the log.
        while (left_s := until - loop.time()) > 0 and self._bus.stats["reconnects"] == before:  # noqa: ASYNC110
            await asyncio.sleep(min(LOOK_S, left_s))
