"""A world is lived through; its frames are fed to an audit over a real SQLite file."""

import asyncio
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from threading import Thread

import pytest
from eventsourcing.persistence import IntegrityError

from domain.chronicle import evolve
from domain.decider import Frame
from domain.environment import CreateEnvironment, LayerSpec
from domain.facts import Fact, tag
from domain.fleet import Fleet
from domain.host import CordonHost, HostRated, RegisterHost, RemoveHost, UncordonHost
from domain.messages import HostId, Refusal
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleLayer, ScaleNode
from domain.region import Region
from domain.wire import decode_frame
from projections.aggregates import spelled
from projections.audit import (
    Audit,
    AuditDamagedError,
    AuditFeed,
    AuditGapError,
    Known,
    open_audit,
)
from projections.audit import (
    audit as audits,
)
from projections.feed import last_position, placed
from restow.simulation.world import World
from tests.projections.journal import Book


@cache
def story() -> World:
    """Live through a little of everything: placing, growing, moving, restarting, removing."""
    world = World(seed=7)
    world.hosts(6)
    layers = (LayerSpec(name="cp", count=3), LayerSpec(name="sql", count=2, stateful=True))
    world.ask(CreateEnvironment(environment="shop", layers=layers))
    world.settle()
    world.ask(ScaleNode(container="node1", limit=4), actor="alice", reason="more visitors")
    world.ask(ScaleLayer(environment="shop", layer="cp", count=5))
    world.settle()
    world.ask(MigrateContainer(container="node1"))
    world.ask(RestartLayer(environment="shop", layer="sql", delay_s=1))
    world.settle()
    world.ask(ScaleLayer(environment="shop", layer="cp", count=2))
    world.settle()
    world.ask(CordonHost(host="h06", reason="a noisy fan"))
    world.ask(RegisterHost(host="spare", memory_mib=1_024, cpu_mhz=4_000, disk_gib=10))
    world.ask(RemoveHost(host="spare"))
    return world


def frames() -> list[Frame[Fact]]:
    return [decode_frame(data) for data in story().journal]


def shuffled_into_bigger_frames(seed: int) -> list[Frame[Fact]]:
    """Return the story with its commits put into fewer frames, and epoch frames in between."""
    random = Random(seed)
    commits = [commit for frame in frames() for commit in frame.commits]
    out: list[Frame[Fact]] = []
    position = 1
    while commits:
        size = random.randint(0, 7)
        some, commits = tuple(commits[:size]), commits[size:]
        out.append(Frame(1, 1, position, b"", some))
        position += sum(len(commit.events) for commit in some)
    return out


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def audit(path: Path) -> Iterator[Audit]:
    with open_audit(path) as opened:
        yield opened


def rows(audit: Audit) -> list[tuple[int, str, int, str]]:
    """Return every event as the library's notification log has it."""
    log = audit.recorder.select_notifications(1, 1_000_000)
    return [(n.id, str(n.originator_id), n.originator_version, n.topic) for n in log]


def expected_rows() -> list[tuple[int, str, int, str]]:
    return [
        (one.position, one.event.stream, one.event.version, tag(one.event.fact))
        for frame in frames()
        for one in placed(frame)
    ]


def tables(fleet: Fleet) -> dict[str, object]:
    return {name: value for name, value in vars(fleet).items() if isinstance(value, dict)}


def known(found: Known | Refusal) -> Known:
    assert isinstance(found, Known), found
    return found


def test_the_story_has_a_little_of_everything() -> None:
    nouns = {stream.partition(".")[0] for _, stream, _, _ in expected_rows()}
    assert nouns == {"host", "environment", "container", "operation", "migration"}


@pytest.mark.parametrize("shuffle", range(5))
def test_every_fact_is_kept_once_in_its_place(audit: Audit, shuffle: int) -> None:
    audit.take_many(shuffled_into_bigger_frames(shuffle))
    assert rows(audit) == expected_rows()
    assert audit.checkpoint() == len(expected_rows())


def test_a_frame_taken_twice_is_passed_over(audit: Audit) -> None:
    for frame in frames():
        audit.take(frame)
        audit.take(frame)
    audit.take_many(frames())
    assert rows(audit) == expected_rows()


@pytest.mark.parametrize("missing", [0, 3, 20])
def test_a_gap_is_refused_and_nothing_of_what_follows_is_kept(audit: Audit, missing: int) -> None:
    told = [frame for frame in frames() if frame.commits[0].events]
    with pytest.raises(AuditGapError, match=f"a frame with events {told[missing + 1].position} to"):
        audit.take_many([*told[:missing], *told[missing + 1 :]])
    assert audit.checkpoint() < told[missing].position
    audit.take_many(told)
    assert rows(audit) == expected_rows()


def test_it_goes_on_where_it_was_after_a_restart(path: Path) -> None:
    everything = frames()
    for start in range(0, len(everything), 10):
        with open_audit(path) as audit:
            audit.take_many(everything[max(0, start - 3) : start + 10])
    with open_audit(path) as audit:
        assert rows(audit) == expected_rows()
        assert audit.fleet().hosts == story().fleet.hosts


def test_large_batches_are_cut_into_transactions(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "EVENTS_A_TRANSACTION", 7)
    monkeypatch.setattr(audits, "PAGE", 10)
    audit.take_many(frames())
    assert rows(audit) == expected_rows()
    assert tables(audit.fleet()) == tables(story().fleet)


def test_a_transaction_that_fails_leaves_neither_events_nor_checkpoint(audit: Audit) -> None:
    book = Book()
    audit.take(book.say(HostRated(HostId("h01"), 1)))
    book.versions.clear()  # the next event claims a version that is taken
    with pytest.raises(IntegrityError):
        audit.take(book.say(HostRated(HostId("h02"), 2), HostRated(HostId("h01"), 3)))
    assert audit.checkpoint() == 1
    assert [stream for _, stream, _, _ in rows(audit)] == ["host.h01"]


def test_two_who_feed_one_file_do_it_no_harm(path: Path, audit: Audit) -> None:
    refused: list[Exception] = []

    def feed(one: Audit) -> None:
        for frame in frames():
            try:
                one.take(frame)
            except (IntegrityError, AuditGapError) as error:
                refused.append(error)

    with open_audit(path) as other:
        threads = [Thread(target=feed, args=(one,)) for one in (audit, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    audit.take_many(frames())
    assert rows(audit) == expected_rows()


def test_it_can_be_opened_and_read_while_it_is_fed(path: Path, audit: Audit) -> None:
    def feed() -> None:
        for frame in frames():
            audit.take(frame)

    feeding = Thread(target=feed)
    feeding.start()
    seen = []
    while feeding.is_alive():
        with open_audit(path) as reader:
            before = reader.checkpoint()
            seen.append(len(rows(reader)))
            assert before <= seen[-1] <= reader.checkpoint()
    feeding.join()
    assert seen == sorted(seen)
    assert rows(audit) == expected_rows()


def test_a_file_that_lost_events_is_refused(path: Path) -> None:
    with open_audit(path) as audit:
        audit.take_many(frames())
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM stored_events WHERE rowid > 5")
    connection.close()
    with pytest.raises(AuditDamagedError, match="holds 5 events"):
        open_audit(path)


def test_a_fold_of_it_equals_a_fold_of_the_journal(audit: Audit) -> None:
    audit.take_many(frames())
    region = Region()
    for frame in frames():
        region.absorb(frame)
        assert last_position(frame) == region.position
    assert tables(audit.fleet()) == tables(region.fleet)


def test_everything_is_shown_exactly_as_the_region_knew_it(audit: Audit) -> None:
    audit.take_many(frames())
    fleet = Fleet()
    of_noun = {
        "host": fleet.hosts,
        "environment": fleet.environments,
        "container": fleet.containers,
        "operation": fleet.operations,
        "migration": fleet.migrations,
    }
    for frame in frames():
        for one in placed(frame):
            evolve(fleet, one.event.fact, one.commit.at)
            if one.position % 10:
                continue
            noun, _, name = one.event.stream.partition(".")
            found = of_noun[noun].get(name)  # type: ignore[attr-defined]
            shown = known(audit.exact(one.event.stream, one.event.version))
            assert shown.state == (None if found is None else spelled(found))


def test_a_host_is_shown_after_any_version(audit: Audit) -> None:
    audit.take_many(frames())
    before, after = (known(audit.show("host.h06", version)) for version in (1, 2))
    assert before.state is not None
    assert after.state is not None
    assert (before.state["state"], after.state["state"]) == ("active", "cordoned")
    assert after.state["note"] == "a noisy fan"
    assert after.tag == "host.cordoned"
    assert audit.show("host.h06") == after
    assert "used" not in after.state  # that stands in the streams of its containers


def test_what_is_gone_is_shown_as_gone(audit: Audit) -> None:
    audit.take_many(frames())
    assert known(audit.show("host.spare")).state is None
    assert known(audit.show("host.spare", 1)).state is not None
    assert known(audit.exact("host.spare")).state is None


def test_an_environment_is_shown_with_its_layers(audit: Audit) -> None:
    audit.take_many(frames())
    shown = known(audit.show("environment.shop"))
    assert shown.folded_by == "domain"
    assert shown.state is not None
    specs = {name: layer["spec"]["count"] for name, layer in shown.state["layers"].items()}
    assert specs == {layer.spec.name: layer.spec.count for layer in story().fleet.layers.values()}


def test_of_a_container_the_fields_last_written_are_shown(audit: Audit) -> None:
    audit.take_many(frames())
    shown = known(audit.show("container.node1"))
    now = story().fleet.containers
    node = next(one for name, one in now.items() if name == "node1")
    assert shown.folded_by == "fields"
    assert shown.state is not None
    assert shown.state["limit"] == node.limit == 4
    assert shown.state["name"] == node.name
    assert shown.state["orders"] == {}  # each was answered


def test_the_history_says_who_when_and_why(audit: Audit) -> None:
    audit.take_many(frames())
    lines = audit.history("container.node1")
    assert [line.version for line in lines] == list(range(1, len(lines) + 1))
    grown = next(line for line in lines if line.tag == "container.scaled")
    assert (grown.actor, grown.reason, grown.command) == (
        "alice",
        "more visitors",
        "container.scale",
    )
    assert grown.fact["limit"] == 4
    assert audit.history("container.node1", after=len(lines) - 1) == lines[-1:]
    assert audit.history("container.nobody") == []


def test_what_a_saga_asked_is_told_from_what_was_asked(audit: Audit) -> None:
    audit.take_many(frames())
    commit, follower = next(
        (frame.commits[0], event)
        for frame in frames()
        for event in frame.commits[0].events
        if event.asked
    )
    line = audit.history(follower.stream, after=follower.version - 1)[0]
    assert line.ask == commit.ask + follower.asked


@pytest.mark.parametrize(
    ("stream", "version", "field", "says"),
    [
        ("host.nobody", None, "$.stream", "there is no stream 'host.nobody'"),
        ("", None, "$.stream", "there is no stream ''"),
        ("host.h06", 0, "$.version", "has versions 1 to 2, and not 0"),
        ("host.h06", -1, "$.version", "has versions 1 to 2, and not -1"),
        ("host.h06", 3, "$.version", "has versions 1 to 2, and not 3"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_what_can(
    audit: Audit, stream: str, version: int | None, field: str, says: str
) -> None:
    audit.take_many(frames())
    for answer in (audit.show(stream, version), audit.exact(stream, version)):
        assert isinstance(answer, Refusal)
        assert answer.path == field
        assert says in answer.detail


def test_an_audit_that_is_not_there_is_not_made_by_reading(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no audit at"):
        open_audit(path, create=False)
    assert not path.exists()


def test_the_environment_of_the_process_does_not_reach_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PERSISTENCE_MODULE", "AUDIT_PERSISTENCE_MODULE"):
        monkeypatch.setenv(name, "eventsourcing.popo")
    with open_audit(path) as audit:
        audit.take_many(frames())
    assert path.stat().st_size > 0


async def test_a_loop_feeds_it_without_being_held_up(audit: Audit) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    beating = asyncio.create_task(beat())
    await AuditFeed(audit).take_many(frames())
    beating.cancel()
    assert rows(audit) == expected_rows()
    assert beats > 1


def test_uncordoned_means_active_again(audit: Audit) -> None:
    world = World()
    world.hosts(1)
    world.ask(CordonHost(host="h01"))
    world.ask(UncordonHost(host="h01"))
    audit.take_many([decode_frame(data) for data in world.journal])
    states = [known(audit.show("host.h01", version)).state for version in (1, 2, 3)]
    assert [state and state["state"] for state in states] == ["active", "cordoned", "active"]
