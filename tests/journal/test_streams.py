"""The streams of a region are made safe, and refused where somebody made them otherwise."""

from typing import Any

import msgspec
import pytest

from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.journal.stream import (
    JetStreamError,
    StreamConfig,
    UnsafeStreamError,
    api,
    ensure,
    info,
    journal,
    message_at,
    others,
)
from tests.journal.samples import commit, new_writer


async def test_making_the_streams_twice_changes_nothing(bus: Bus, subjects: Subjects):
    await ensure(bus, subjects)
    before = [
        await info(bus, subjects.stream(name)) for name in ("JNL", "CMD", "RES", "EVT", "USE")
    ]
    await ensure(bus, subjects)
    assert all(before)
    assert before == [await info(bus, stream.config.name) for stream in before if stream]


async def test_the_journal_can_neither_be_cut_nor_purged(bus: Bus, subjects: Subjects):
    await new_writer(bus, subjects)
    name = subjects.stream("JNL")
    with pytest.raises(JetStreamError, match="not permitted"):
        await api(bus, f"STREAM.MSG.DELETE.{name}", b'{"seq":1}')
    with pytest.raises(JetStreamError, match="not permitted"):
        await api(bus, f"STREAM.PURGE.{name}")
    assert await message_at(bus, name, 1)


UNSAFE: list[tuple[dict[str, Any], str]] = [
    ({"storage": "memory"}, 'storage is "memory", not "file"'),
    ({"deny_delete": False}, "deny_delete is false, not true"),
    ({"deny_purge": False}, "deny_purge is false, not true"),
    ({"discard": "old"}, 'discard is "old", not "new"'),
    ({"max_msgs": 1000}, "max_msgs is 1000, not -1"),
    ({"max_bytes": 1 << 20}, "max_bytes is 1048576, not -1"),
    ({"max_age": 3_600_000_000_000}, "max_age is 3600000000000, not 0"),
    ({"max_msgs_per_subject": 1}, "max_msgs_per_subject is 1, not -1"),
    ({"duplicate_window": 1_000_000_000}, "duplicate_window is 1 s, not 120 s"),
    ({"persist_mode": "async"}, "persist_mode is async"),
    ({"allow_msg_ttl": True}, "allow_msg_ttl is true, not false"),
]


@pytest.mark.parametrize(("change", "says"), UNSAFE)
async def test_an_unsafe_journal_is_refused_by_the_name_of_its_setting(
    bus: Bus, subjects: Subjects, change: dict[str, Any], says: str
):
    unsafe = msgspec.structs.replace(journal(subjects), **change)
    await api(bus, f"STREAM.CREATE.{unsafe.name}", msgspec.json.encode(unsafe))
    with pytest.raises(UnsafeStreamError, match=f"stream {unsafe.name} is not safe: .*{says}"):
        await ensure(bus, subjects)


async def test_a_journal_with_too_few_copies_is_refused(bus: Bus, subjects: Subjects):
    await ensure(bus, subjects)
    with pytest.raises(UnsafeStreamError, match="num_replicas is 1, not 3"):
        await ensure(bus, subjects, replicas=3)


async def test_an_operator_may_keep_answers_longer(bus: Bus, subjects: Subjects):
    (answers,) = [config for config in others(subjects) if config.name.endswith("RES")]
    longer = msgspec.structs.replace(answers, max_age=2 * answers.max_age)
    await api(bus, f"STREAM.CREATE.{longer.name}", msgspec.json.encode(longer))
    await ensure(bus, subjects)


async def test_a_command_queue_that_drops_is_refused(bus: Bus, subjects: Subjects):
    (commands,) = [config for config in others(subjects) if config.name.endswith("CMD")]
    drops: StreamConfig = msgspec.structs.replace(
        commands, discard="old", discard_new_per_subject=False, max_msgs=10
    )
    await api(bus, f"STREAM.CREATE.{drops.name}", msgspec.json.encode(drops))
    with pytest.raises(UnsafeStreamError, match='CMD is not safe: discard is "old"'):
        await ensure(bus, subjects)


async def test_commands_are_kept_until_they_are_taken(bus: Bus, subjects: Subjects):
    await ensure(bus, subjects)
    await bus.jetstream().publish(subjects.durable("acme", "layer.scale"), b"{}")
    stream = await info(bus, subjects.stream("CMD"))
    assert stream
    assert (stream.state.messages, stream.config.retention) == (1, "workqueue")


async def test_a_stream_that_is_not_there_is_no_error(bus: Bus, subjects: Subjects):
    assert await info(bus, subjects.stream("JNL")) is None


async def test_a_place_without_a_message_is_no_error(bus: Bus, subjects: Subjects):
    writer = await new_writer(bus, subjects)
    await writer.append([commit("a")])
    assert await message_at(bus, subjects.stream("JNL"), 3) is None
