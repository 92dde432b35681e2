"""The queue of the engine: every ask has one answer, and none before it is stored."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from domain.decider import Answered, Ask, Commit
from domain.decisions import DECIDE
from domain.facts import Fact
from domain.host import CordonHost, RegisterHost, RelabelHost
from domain.messages import Accepted, AskId, Code, Command, Instant, Refusal
from domain.region import Region
from domain.wire import COMMIT_BYTES_MAX, encode_commit
from handlers.doors.desk import DeskClosedError
from handlers.engine.admission import OPERATOR_IN_FLIGHT_MAX
from handlers.engine.desk import ASKS_A_FRAME_MAX, FRAME_FULL_BYTES, Desk

NORTH = RegisterHost(host="north", memory_mib=1_024, cpu_mhz=4_000, disk_gib=10)

BUS_TAKES_BYTES = 1_024 * 1_024


class Shelf:
    """A journal that stores when it is let."""

    def __init__(self) -> None:
        self.frames: list[Sequence[Commit[Fact]]] = []
        self.said: list[Sequence[Commit[Fact]]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def store(self, commits: Sequence[Commit[Fact]]) -> None:
        await self.open.wait()
        if self.broken:
            message = "fenced"
            raise ConnectionError(message)
        self.frames.append(commits)

    async def effects(self, commits: Sequence[Commit[Fact]]) -> None:
        self.said.append(commits)


@asynccontextmanager
async def running(shelf: Shelf) -> AsyncIterator[Desk]:
    desk = Desk(Region(), shelf.store, shelf.effects, lambda: Instant(1_000))
    task = asyncio.create_task(desk.run())
    yield desk
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def ask(name: str, command: Command, **more: object) -> Ask:
    return Ask(AskId(name), command, **more)  # type: ignore[arg-type]


async def settled(future: asyncio.Future[Answered]) -> Answered:
    async with asyncio.timeout(5):
        return await future


async def test_an_answer_is_given_when_it_is_stored_and_not_before():
    shelf = Shelf()
    shelf.open.clear()
    async with running(shelf) as desk:
        told = desk.ask(ask("1", NORTH))
        await asyncio.sleep(0.05)
        assert not told.done()
        assert not shelf.said
        shelf.open.set()

        assert isinstance((await settled(told)).answer, Accepted)
        assert len(shelf.frames) == 1


async def test_asked_again_the_answer_is_the_same_and_nothing_is_stored():
    shelf = Shelf()
    async with running(shelf) as desk:
        first = await settled(desk.ask(ask("1", NORTH)))
        again = await settled(desk.ask(ask("1", NORTH)))

    assert again == first
    assert len(shelf.frames) == 1


async def test_a_refusal_asked_again_stays_refused_though_it_would_be_possible_now():
    shelf = Shelf()
    async with running(shelf) as desk:
        refused = await settled(desk.ask(ask("1", CordonHost(host="north"))))
        await settled(desk.ask(ask("2", NORTH)))
        again = await settled(desk.ask(ask("1", CordonHost(host="north"))))

    assert isinstance(refused.answer, Refusal)
    assert again.answer == refused.answer


async def test_asked_twice_at_once_waits_for_the_first_to_be_stored():
    shelf = Shelf()
    shelf.open.clear()
    async with running(shelf) as desk:
        first, second = desk.ask(ask("1", NORTH)), desk.ask(ask("1", NORTH))
        await asyncio.sleep(0.05)
        assert not second.done()
        shelf.open.set()

        assert await settled(first) == await settled(second)
    assert sum(len(frame) for frame in shelf.frames) == 1


async def test_the_same_id_with_another_body_is_refused_and_the_answer_stays():
    shelf = Shelf()
    async with running(shelf) as desk:
        first = await settled(desk.ask(ask("1", NORTH, fingerprint=b"a")))
        other = await settled(desk.ask(ask("1", CordonHost(host="north"), fingerprint=b"b")))
        again = await settled(desk.ask(ask("1", NORTH, fingerprint=b"a")))

    assert isinstance(other.answer, Refusal)
    assert other.answer.code is Code.COMMAND_REUSED
    assert again == first


async def test_a_dry_run_tells_what_would_be_and_stores_nothing():
    shelf = Shelf()
    async with running(shelf) as desk:
        planned = await settled(desk.ask(ask("1", NORTH, dry_run=True)))
        done = await settled(desk.ask(ask("1", NORTH)))

    assert planned.plan is not None
    assert [type(fact).__name__ for fact in planned.plan.facts] == ["HostRegistered"]
    assert isinstance(done.answer, Accepted)
    assert len(shelf.frames) == 1


async def test_what_comes_while_a_frame_is_on_its_way_goes_together():
    shelf = Shelf()
    shelf.open.clear()
    async with running(shelf) as desk:
        first = desk.ask(ask("0", NORTH))
        await asyncio.sleep(0.05)
        others = [desk.ask(ask(str(n), CordonHost(host="north"))) for n in range(1, 50)]
        await asyncio.sleep(0.05)
        shelf.open.set()
        for told in (first, *others):
            await settled(told)

    assert [len(frame) for frame in shelf.frames] == [1, 49]


async def test_a_frame_has_a_limit_and_the_rest_goes_into_the_next():
    shelf = Shelf()
    shelf.open.clear()
    async with running(shelf) as desk:
        count = 2 * ASKS_A_FRAME_MAX
        told = [desk.ask(ask(str(n), CordonHost(host="north"))) for n in range(count)]
        await asyncio.sleep(0.05)
        shelf.open.set()
        for one in told:
            await settled(one)

    assert max(len(frame) for frame in shelf.frames) <= ASKS_A_FRAME_MAX
    assert sum(len(frame) for frame in shelf.frames) == count


async def test_when_storing_fails_every_waiter_is_turned_away_and_so_is_whoever_comes():
    shelf = Shelf()
    shelf.broken = True
    desk = Desk(Region(), shelf.store, shelf.effects, lambda: Instant(1_000))
    running_desk = asyncio.create_task(desk.run())
    told = desk.ask(ask("1", NORTH))
    with pytest.raises(DeskClosedError):
        await settled(told)
    with pytest.RaisesGroup(ConnectionError):
        await running_desk
    with pytest.raises(DeskClosedError):
        await settled(desk.ask(ask("2", NORTH)))
    assert not shelf.said


async def test_a_mistake_of_ours_is_answered_internal_once_and_the_queue_goes_on(
    monkeypatch: pytest.MonkeyPatch,
):
    def stumble(*_: object) -> None:
        message = "planted"
        raise AssertionError(message)

    monkeypatch.setitem(DECIDE, CordonHost, stumble)  # type: ignore[misc]
    shelf = Shelf()
    async with running(shelf) as desk:
        poison = await settled(desk.ask(ask("1", CordonHost(host="north"))))
        after = await settled(desk.ask(ask("2", NORTH)))
        again = await settled(desk.ask(ask("1", CordonHost(host="north"))))

    assert isinstance(poison.answer, Refusal)
    assert poison.answer.code is Code.INTERNAL
    assert "planted" not in poison.answer.detail
    assert again.answer == poison.answer
    assert isinstance(after.answer, Accepted)


async def test_one_too_many_is_told_to_come_back():
    shelf = Shelf()
    desk = Desk(Region(), shelf.store, shelf.effects, lambda: Instant(1_000))
    told = [desk.ask(ask(str(n), NORTH)) for n in range(OPERATOR_IN_FLIGHT_MAX + 1)]
    answer = (await settled(told[-1])).answer

    assert isinstance(answer, Refusal)
    assert answer.code is Code.RATE_LIMITED
    desk.close()
    for one in told[:-1]:
        assert isinstance(one.exception(), DeskClosedError)


async def test_a_mistake_over_a_dry_run_is_answered_internal_and_the_queue_goes_on(
    monkeypatch: pytest.MonkeyPatch,
):
    def stumble(*_: object) -> None:
        message = "planted"
        raise LookupError(message)

    monkeypatch.setitem(DECIDE, CordonHost, stumble)  # type: ignore[misc]
    shelf = Shelf()
    async with running(shelf) as desk:
        poison = await settled(desk.ask(ask("1", CordonHost(host="north"), dry_run=True)))
        after = await settled(desk.ask(ask("2", NORTH)))

    assert isinstance(poison.answer, Refusal)
    assert poison.answer.code is Code.INTERNAL
    assert isinstance(after.answer, Accepted)


async def test_a_frame_of_few_but_large_commits_passes_the_bus():
    shelf = Shelf()
    shelf.open.clear()
    async with running(shelf) as desk:
        told = [desk.ask(ask("0", NORTH))]
        await asyncio.sleep(0.05)
        for number in range(200):
            labels = {f"label-{n}": f"{number:x<60}" for n in range(500)}
            told.append(desk.ask(ask(str(number + 1), RelabelHost(host="north", labels=labels))))
        await asyncio.sleep(0.05)
        shelf.open.set()
        for one in told:
            await settled(one)

    sizes = [sum(len(encode_commit(commit)) for commit in frame) for frame in shelf.frames]
    assert sum(sizes) > BUS_TAKES_BYTES
    assert max(sizes) < FRAME_FULL_BYTES + sizes[1]
    assert FRAME_FULL_BYTES + COMMIT_BYTES_MAX < BUS_TAKES_BYTES
