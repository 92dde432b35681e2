"""One connection to the bus, kept by a thread of its own, for callers that block.

The library's recorders are called from threads and wait; the bus lives on an asyncio loop. A line
carries coroutines over to that loop and results back. A call costs two thread switches, some
0.2 ms: good for tools, never for the engine.
"""

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from threading import RLock, Thread, get_ident
from typing import Any, TypeVar

from eventsourcing.persistence import InterfaceError, OperationalError, ProgrammingError

from handlers.bus import Address, Bus, BusUnavailableError, close, connect

CONNECT_S = 10.0
CLOSE_S = 5.0
"""How long closing waits for the connection to be gone. Garbage may be collected, and lines with
it, where waiting longer would wait for ever."""

T = TypeVar("T")
Work = Callable[[Bus], Coroutine[Any, Any, T]]
Stop = Callable[[], None]


class Line:
    """Runs coroutines on another thread's loop, with a connection kept there.

    Close it when done. One that is forgotten is closed when it is collected, so the thread knows
    nothing of it.
    """

    def __init__(self, address: Address) -> None:
        """Connect. Raises `OperationalError` if there is no bus."""
        self._far_end = _FarEnd(address)
        self._let_go = weakref.finalize(self, self._far_end.close)
        self._let_go.atexit = False

    def call(self, work: Work[T]) -> T:
        """Run `work` with the connection, wait for it, and return what it returns.

        Raises `ProgrammingError` when called by the line's own thread, which would wait for
        itself for ever, and `InterfaceError` when the line is closed or closes meanwhile.
        """
        if get_ident() == self._far_end.thread.ident:
            message = (
                "a recorder was called from the loop that carries its own connection, and would"
                " wait for itself; call it from another thread"
            )
            raise ProgrammingError(message)
        future = self._far_end.begin(work)
        try:
            return future.result()
        except CancelledError as error:
            message = "the recorder was closed while it waited for an answer"
            raise InterfaceError(message) from error
        finally:
            future.cancel()

    def run_beside(self, work: Work[None]) -> Stop:
        """Run `work` beside the calls until it is stopped or the line closes; return its stop."""
        far_end = self._far_end
        task = self.call(lambda bus: far_end.start(work(bus)))
        return lambda: far_end.tell(task.cancel)

    def close(self) -> None:
        """Let go of the connection and end the thread. May be called more than once, anywhere.

        Anywhere includes the line's own thread, for garbage is collected by whichever thread is
        there, and the library closes factories in `__del__`.
        """
        self._let_go()
        if get_ident() != self._far_end.thread.ident:
            self._far_end.thread.join(CLOSE_S)


class _FarEnd:
    """The thread of a line, its loop and its connection."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._ready: Future[tuple[asyncio.AbstractEventLoop, Bus]] = Future()
        self._closing = asyncio.Event()
        self._closed = False
        self._lock = RLock()
        self._beside: set[asyncio.Task[None]] = set()
        self.thread = Thread(target=self._run, name="recorder-line", daemon=True)
        self.thread.start()
        self._loop, self._bus = self._ready.result()

    def begin(self, work: Work[T]) -> Future[T]:
        with self._lock:  # what is begun before the close is ended by it
            if self._closed:
                message = "the recorder is closed"
                raise InterfaceError(message)
            return asyncio.run_coroutine_threadsafe(work(self._bus), self._loop)

    async def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task

    def tell(self, what: Callable[[], object]) -> None:
        with self._lock:
            if not self._closed:
                self._loop.call_soon_threadsafe(what)

    def close(self) -> None:
        with self._lock:
            self.tell(self._closing.set)
            self._closed = True

    def _run(self) -> None:
        try:
            asyncio.run(self._keep())
        finally:
            with self._lock:
                self._closed = True
            self._ready.cancel()  # if a bug struck before it was settled, nobody shall wait

    async def _keep(self) -> None:
        try:
            bus = await connect(self._address, name="recorder", within_s=CONNECT_S)
        except BusUnavailableError as error:
            self._ready.set_exception(OperationalError(str(error)))
            return
        try:
            await self._serve(bus)
        finally:
            # Of a connection just lost, nats-py waits for a future that its own reader may have
            # cancelled. Nobody else cancels this task, and gone is as good as closed.
            with suppress(asyncio.CancelledError):
                await close(bus)

    async def _serve(self, bus: Bus) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._ready.set_result((asyncio.get_running_loop(), bus))
            await self._closing.wait()
            for task in tuple(self._beside):
                task.cancel()
