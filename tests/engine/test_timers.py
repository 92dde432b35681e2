"""Deadlines are told until they are taken in, under names that nobody else can use."""

import asyncio

from domain.decider import Answered, Ask
from domain.fleet import Fleet
from domain.messages import Instant, Unchanged
from handlers.doors.desk import DeskClosedError
from handlers.engine import timers
from handlers.engine.desk import BUSY

NOW = Instant(5_000)


class Counter:
    """A desk that is busy for a while."""

    def __init__(self, busy: int = 0, *, closed: bool = False) -> None:
        self.asks: list[Ask] = []
        self._busy = busy
        self._closed = closed

    def ask(self, ask: Ask) -> asyncio.Future[Answered]:
        self.asks.append(ask)
        told: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        if self._closed:
            told.set_exception(DeskClosedError("closed"))
        else:
            busy = len(self.asks) <= self._busy
            told.set_result(Answered(BUSY if busy else Unchanged(), 1))
        return told


def due(*sagas: str) -> Fleet:
    fleet = Fleet()
    fleet.deadlines.update(dict.fromkeys(sagas, Instant(4_000)))
    return fleet


async def run_for(fleet: Fleet, counter: Counter, seconds: float) -> list[object]:
    """Tell deadlines for a while, and return how that ended: None is by itself."""
    running = asyncio.create_task(timers.run(fleet, counter.ask, lambda: NOW))
    await asyncio.wait([running], timeout=seconds)
    running.cancel()
    return list(await asyncio.gather(running, return_exceptions=True))


async def test_a_deadline_is_told_once():
    counter = Counter()
    await run_for(due("op1", "mv2"), counter, 5 * timers.TICK_S)

    assert [ask.actor for ask in counter.asks] == ["clock", "clock"]


async def test_a_deadline_that_a_full_desk_turned_away_is_told_again():
    counter = Counter(busy=2)
    await run_for(due("op1"), counter, 10 * timers.TICK_S)

    assert len(counter.asks) == 3


async def test_a_closed_desk_ends_the_telling_and_is_no_mistake():
    ended = await run_for(due("op1"), Counter(closed=True), 10 * timers.TICK_S)

    assert ended == [None]


async def test_no_client_can_ask_under_the_name_of_a_deadline():
    counter = Counter()
    await run_for(due("op1"), counter, 5 * timers.TICK_S)

    assert all(" " in ask.id for ask in counter.asks)
