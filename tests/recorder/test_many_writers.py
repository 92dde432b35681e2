"""Several recorders of one application, each with a connection of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from eventsourcing.utils import Environment

from handlers.bus import Bus
from handlers.nats_server import Server, ServerOptions, start
from handlers.recorder import JetStreamFactory
from handlers.recorder import journal as journals
from handlers.recorder.frames import decode

WRITERS = 3
SAVES = 40
STREAMS = 5
MAX_PAYLOAD = 1024 * 1024


@pytest.fixture
def open_factory() -> Iterator["OpenFactory"]:
    with ExitStack() as stack:
        yield OpenFactory(stack)


class OpenFactory:
    """Makes factories of the same application, which are closed when the test is over."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, name: str = "Racing", **env: str) -> JetStreamFactory:
        factory = JetStreamFactory(Environment(name, {**os.environ, **env}))
        self._stack.callback(factory.close)
        return factory


def stored(stream: str, version: int, state: bytes = b"") -> StoredEvent:
    return StoredEvent(stream, version, "topic", state)


def race(open_factory: OpenFactory, writer: int) -> int:
    """Save `SAVES` times, onto streams that all write to; return how many saves were refused."""
    recorder = open_factory().process_recorder()
    refused = 0
    done = 0
    for turn in count():
        if done == SAVES:
            return refused
        streams = [f"stream {(turn + n) % STREAMS}" for n in range(2)]
        events = [
            stored(name, len(recorder.select_events(name)) + 1, b"%d-%d" % (writer, done))
            for name in streams
        ]
        tracking = Tracking(f"upstream {writer}", done + 1)
        try:
            ids = recorder.insert_events(events, tracking=tracking)
        except IntegrityError:
            refused += 1
        else:
            assert ids is not None
            assert ids[1] == ids[0] + 1
            done += 1
    raise AssertionError


def test_racing_writers_leave_one_log_without_gaps_and_lose_nothing(
    open_factory: OpenFactory,
) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        racing = [pool.submit(race, open_factory, writer) for writer in range(WRITERS)]
        refused = sum(one.result() for one in racing)
    readers = [open_factory().process_recorder() for _ in range(2)]
    logs = [reader.select_notifications(1, 10 * WRITERS * SAVES) for reader in readers]
    log = logs[0]
    assert logs[1] == log
    assert [entry.id for entry in log] == list(range(1, 2 * WRITERS * SAVES + 1))
    states = [b"%d-%d" % (writer, save) for writer in range(WRITERS) for save in range(SAVES)]
    assert sorted(entry.state for entry in log) == sorted(2 * states)
    for name in {entry.originator_id for entry in log}:
        versions = [entry.originator_version for entry in log if entry.originator_id == name]
        assert versions == list(range(1, len(versions) + 1))
    for writer in range(WRITERS):
        assert readers[0].max_tracking_id(f"upstream {writer}") == SAVES
    assert refused > 0  # or it was no race


def test_a_refused_save_leaves_neither_events_nor_tracking(open_factory: OpenFactory) -> None:
    first, second = (open_factory().process_recorder() for _ in range(2))
    first.insert_events([stored("a", 1)], tracking=Tracking("upstream", 5))
    with pytest.raises(IntegrityError):
        second.insert_events([stored("b", 1)], tracking=Tracking("upstream", 5))
    with pytest.raises(IntegrityError):
        second.insert_events([stored("a", 1)], tracking=Tracking("upstream", 6))
    for recorder in (first, second):
        assert recorder.select_events("b") == []
        assert recorder.max_notification_id() == 1
        assert recorder.max_tracking_id("upstream") == 5


def test_what_one_saves_another_reads_at_once(open_factory: OpenFactory) -> None:
    writer, reader = (open_factory().application_recorder() for _ in range(2))
    for version in range(1, 20):
        writer.insert_events([stored("a", version)])
        assert reader.max_notification_id() == version


def test_a_subscriber_hears_of_saves_of_others(open_factory: OpenFactory) -> None:
    writer, reader = (open_factory().application_recorder() for _ in range(2))
    with reader.subscribe(gt=0) as subscription:
        for version in range(1, 6):
            writer.insert_events([stored("a", version)])
            assert next(subscription).originator_version == version


@pytest.mark.parametrize("frames", [1, 2, journals.ONE_BY_ONE, journals.ONE_BY_ONE + 1, 60])
def test_a_late_reader_catches_up_however_far_it_is_behind(
    open_factory: OpenFactory, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    monkeypatch.setattr(journals, "PAGE", 25)
    writer = open_factory().application_recorder()
    for version in range(1, frames + 1):
        writer.insert_events([stored("a", version)])
    events = open_factory().application_recorder().select_events("a")
    assert [event.originator_version for event in events] == list(range(1, frames + 1))


def test_versions_are_in_order_whatever_order_they_came_in(open_factory: OpenFactory) -> None:
    def versions(desc: bool) -> Sequence[int]:  # noqa: FBT001 -- as the library has it
        return [event.originator_version for event in recorder.select_events("a", desc=desc)]

    recorder = open_factory().aggregate_recorder("snapshots")
    recorder.insert_events([stored("a", 10)])
    recorder.insert_events([stored("a", 7), stored("b", 1), stored("a", 5)])
    assert versions(desc=False) == [5, 7, 10]
    assert versions(desc=True) == [10, 7, 5]


def test_applications_do_not_see_each_other(open_factory: OpenFactory) -> None:
    one, other = (open_factory(name).application_recorder() for name in ("One", "Other"))
    one.insert_events([stored("a", 1)])
    assert other.max_notification_id() is None


def test_a_save_that_the_server_would_not_take_is_refused_and_the_next_one_is_not(
    open_factory: OpenFactory,
) -> None:
    recorder = open_factory().application_recorder()
    with pytest.raises(DataError, match="too many events for one save"):
        recorder.insert_events([stored("a", 1, bytes(MAX_PAYLOAD))])
    assert recorder.insert_events([stored("a", 1)]) == [1]


def test_calling_from_the_loop_of_the_connection_is_refused(open_factory: OpenFactory) -> None:
    recorder = open_factory().application_recorder()
    heard: list[str] = []

    async def call_back(_: Bus) -> None:
        try:
            recorder.max_notification_id()
        except ProgrammingError as error:
            heard.append(str(error))

    recorder._journal._line.call(call_back)  # noqa: SLF001 -- there is no other way in
    assert ["own connection" in message for message in heard] == [True]


async def test_another_loop_may_wait_for_it(open_factory: OpenFactory) -> None:
    recorder = open_factory().application_recorder()
    assert recorder.insert_events([stored("a", 1)]) == [1]


def test_a_closed_recorder_says_so(open_factory: OpenFactory) -> None:
    factory = open_factory()
    recorder = factory.application_recorder()
    factory.close()
    factory.close()
    with pytest.raises(InterfaceError, match="closed"):
        recorder.max_notification_id()


def test_a_bus_that_is_not_there_is_named(
    open_factory: OpenFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.recorder.line.CONNECT_S", 0.5)
    with pytest.raises(OperationalError, match=r"127\.0\.0\.1:9"):
        open_factory(NATS_URL="nats://127.0.0.1:9").application_recorder()


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("not a name", {}),
        ("Fine", {"RESTOW_PREFIX": "Not.A.Prefix"}),
        ("Fine", {"RESTOW_RECORDER_REPLICAS": "three"}),
    ],
)
def test_what_is_wrong_in_the_environment_is_said_at_once(name: str, env: dict[str, str]) -> None:
    with pytest.raises(OSError, match=r"name|PREFIX|REPLICAS"):
        JetStreamFactory(Environment(name, env))


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x93\x02\xa1x\x90", b"\xc1"])
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        decode(data)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Return a server of the test's own, to be killed."""
    started = await start(ServerOptions(tmp_path))
    yield started
    started.stop()


async def test_a_killed_server_loses_no_save_and_the_recorder_goes_on(
    server: Server, open_factory: OpenFactory
) -> None:
    recorder = open_factory(NATS_URL=server.url).application_recorder()
    for version in range(1, 11):
        recorder.insert_events([stored("a", version)])
    server.kill()
    saving = asyncio.create_task(asyncio.to_thread(recorder.insert_events, [stored("a", 11)]))
    await server.restart()
    assert await saving == [11]
    fresh = open_factory(NATS_URL=server.url).application_recorder()
    events = fresh.select_events("a")
    assert [event.originator_version for event in events] == list(range(1, 12))


@pytest.mark.parametrize("turn", range(3))
async def test_closing_is_quiet_when_the_server_is_gone(
    server: Server, open_factory: OpenFactory, turn: int
) -> None:
    factory = open_factory(NATS_URL=server.url)
    recorder = factory.application_recorder()
    recorder.insert_events([stored("a", 1)])
    server.kill()
    await asyncio.sleep(0.05 * turn)
    factory.close()  # an exception in the line's thread would be a warning, and so an error
    with pytest.raises(InterfaceError):
        recorder.max_notification_id()
