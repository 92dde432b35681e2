"""The two doors: how commands come in from the bus, and how their answers go out.

The typed door answers when the answer is journaled; the durable door keeps the command first.
The engine opens them when it becomes active and closes them when it is fenced or stops.
"""

from asyncio import Task, TaskGroup, gather
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from domain.messages import Instant
from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.doors.desk import Desk, DeskClosedError, Doorway
from handlers.doors.durable import DurableDoor
from handlers.doors.retries import Retries
from handlers.doors.typed import typed_door

__all__ = ["Desk", "DeskClosedError", "serve"]


@asynccontextmanager
async def serve(
    bus: Bus,
    subjects: Subjects,
    desk: Desk,
    *,
    new_id: Callable[[], str],
    now: Callable[[], Instant],
) -> AsyncGenerator[None]:
    """Keep both doors open inside `async with`; on leaving, what came in is answered first.

    Keep the desk answering (or refusing with `DeskClosedError`) until the doors are closed. An
    unexpected exception of the desk is answered `internal` and leaves as an `ExceptionGroup`.
    Enter and leave in the same task. Raises `JetStreamError` where there is no stream CMD.
    """
    doorway = Doorway(bus, subjects, desk, new_id, now)
    typed, durable = typed_door(doorway), DurableDoor(doorway)
    retrying: Task[None] | None = None
    async with TaskGroup() as group:
        try:
            await durable.open(group)
            await typed.open(group)
            retrying = group.create_task(Retries(doorway).run())
            yield
        finally:
            if retrying is not None:
                retrying.cancel()
            await gather(typed.close(), durable.close())
