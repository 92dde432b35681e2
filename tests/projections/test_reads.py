"""What is read is what happened: nothing else, nothing less, in whatever frames it came."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.messages import Tenant, number_of
from domain.region import Region
from projections import reads as reading
from projections.feed import FeedError, placed
from projections.lines import condition
from projections.operability import Operability
from projections.pages import QUERIES, answer
from projections.reads import Reads
from tests.projections.journal import Book
from tests.projections.story import commits_of, frames_of, regrouped

SEEDS = st.integers(0, 30)
PLENTY = 10_000_000


def built(frames):
    reads = Reads()
    for frame in frames:
        reads.take(frame)
    return reads


def everything(reads):
    """Return all that can be read, as it is read."""
    lists = [
        answer(query, reads, msgspec.convert({"limit": 1_000}, query.shape), PLENTY)
        for name, query in QUERIES.items()
        if name.endswith(".list")
    ]
    return lists, reads.totals(), list(reads.operations.values())


@given(SEEDS, st.lists(st.integers(0, 40), min_size=1).filter(any))
def test_built_again_in_other_frames_all_reads_the_same(seed, sizes):
    frames = frames_of(seed)
    assert everything(built(regrouped(commits_of(frames), sizes))) == everything(built(frames))


@given(SEEDS)
def test_the_fleet_read_is_the_region_decided_upon(seed):
    region, reads = Region(), Reads()
    for frame in frames_of(seed):
        region.absorb(frame)
        reads.take(frame)
        assert reads.position == region.position
        assert reads.fleet.hosts == region.fleet.hosts
        assert reads.fleet.containers == region.fleet.containers
        assert reads.fleet.layers == region.fleet.layers
        operable = sum(container.operable for container in region.fleet.containers.values())
        assert reads.totals()["operable"] == operable
    assert region.versions == reads.versions


@given(SEEDS)
def test_the_line_of_an_operation_says_of_its_steps_what_the_region_knows(seed):
    region, reads = Region(), Reads()
    for frame in frames_of(seed):
        region.absorb(frame)
        reads.take(frame)
        for operation in region.fleet.operations.values():
            line = reads.operations[operation.id]
            assert (line.state, line.outcome, line.paused) == (
                operation.state.value,
                operation.outcome,
                operation.paused,
            )
            over = [(f.planned.container, f.outcome, f.detail) for f in operation.over]
            told = [(s.container, s.outcome, s.detail) for s in line.steps if s.outcome]
            assert sorted(told) == sorted(over)
            under_way = {(s.planned.container, s.stage) for s in operation.steps}
            assert {(s.container, s.stage) for s in line.steps if s.stage} == under_way
            if not operation.outcome:
                assert line.todo == len(operation.todo)


@given(SEEDS)
def test_the_line_of_a_migration_says_what_the_region_knows(seed):
    region, reads = Region(), Reads()
    for frame in frames_of(seed):
        region.absorb(frame)
        reads.take(frame)
        for migration in region.fleet.migrations.values():
            line = reads.migrations[migration.id]
            assert (line.state, line.detail, line.freeze_ms, line.total_ms) == (
                migration.state.value,
                migration.detail,
                migration.freeze_ms,
                migration.total_ms,
            )
            assert line.finished_at == migration.finished_at
            assert [(p.phase, p.after_ms) for p in line.phases] == list(migration.phases)


@given(SEEDS)
def test_what_runs_is_counted_until_it_is_over(seed):
    reads = Reads()
    for frame in frames_of(seed):
        reads.take(frame)
        totals = reads.totals()
        open_operations = [line for line in reads.operations.values() if not line.finished_at]
        open_migrations = [line for line in reads.migrations.values() if not line.finished_at]
        assert totals["operations_running"] == len(open_operations)
        assert totals["migrations_running"] == len(open_migrations)


@given(SEEDS, st.integers(0, 400))
def test_events_after_a_position_are_those_of_the_journal(seed, after):
    frames = frames_of(seed)
    reads = built(frames)
    expected = [at for frame in frames for at in placed(frame) if at.position > after]
    assert list(reads.events_after(after)) == expected


def test_the_layer_of_time_is_one_line_a_stage():
    reads = built(frames_of(1))
    done = [s for o in reads.operations.values() for s in o.steps if s.outcome == "done"]
    step = next(s for s in done if s.kind == "remove" and len(s.stages) > 2)
    assert [name for name, _ in step.stages] == ["opening", "unrouting", "draining", "working"]
    moments = [at for _, at in step.stages]
    assert moments == sorted(moments)
    assert step.started_at == moments[0]
    assert step.finished_at >= moments[-1]


def test_a_command_is_told_with_its_answer():
    lines = {line.command: line for line in built(frames_of(1, 0.0)).commands.values()}
    created = lines["environment.create"]
    assert (created.answer, created.code, created.actor) == ("accepted", "", "operator")
    assert len(created.operations) >= 1
    assert lines["host.register"].answer == "done"
    refused = [line for line in built(frames_of(1)).commands.values() if line.answer == "refused"]
    assert {line.code for line in refused} >= {"layer.not_found", "container.not_found"}
    assert all(line.events == 0 and line.detail for line in refused)


def test_only_commands_that_somebody_asked_are_listed():
    reads = built(frames_of(1))
    assert not [line for line in reads.commands.values() if line.command.startswith("agent.")]


def test_a_frame_that_does_not_follow_is_refused_and_changes_nothing():
    first, second, third, *_ = (frame for frame in frames_of(1) if frame.commits[0].events)
    reads = built([first, second])
    known = everything(reads)
    for frame in (first, second, msgspec.structs.replace(third, position=third.position + 1)):
        with pytest.raises(FeedError):
            reads.take(frame)
    assert everything(reads) == known
    reads.take(third)
    assert everything(reads) != known


def test_only_the_latest_are_kept(monkeypatch):
    monkeypatch.setattr(reading, "EVENTS_MAX", 50)
    monkeypatch.setattr(reading, "COMMANDS_MAX", 5)
    monkeypatch.setattr(reading, "STORIES_MAX", 3)
    frames = frames_of(1)
    reads = built(frames)
    assert next(reads.events_after(0)).position == reads.position - 49
    assert len(reads.commands) == 5
    assert len(reads.operations) == 3
    assert reads.totals()["commands"] > 5
    ids = [number_of(name) for name in reads.operations]
    assert ids == sorted(ids)
    assert next(reads.events_after(reads.position - 2)).position == reads.position - 1


def test_a_container_says_in_one_word_what_keeps_it_from_serving():
    containers = built(frames_of(1, 0.0)).fleet.containers.values()
    one = next(c for c in containers if c.operable)
    replace = msgspec.structs.replace
    assert condition(one) == "operable"
    assert condition(replace(one, claim="op1")) == "claimed"
    assert condition(replace(one, routed=False)) == "unrouted"
    assert condition(replace(one, healthy=False)) == "unhealthy"
    assert condition(replace(one, target="h2")) == "moving"
    assert condition(replace(one, running=False)) == "down"


@given(SEEDS)
def test_the_certificate_agrees_with_what_the_region_counts(seed):
    """Whoever the region counts as operable is operable for the certificate too."""
    region, operability = Region(), Operability()
    for frame in frames_of(seed):
        region.absorb(frame)
        operability.take(frame)
        counts = {(line.environment, line.layer): line for line in operability.lines()}
        for layer in region.fleet.layers.values():
            line = counts[layer.key]
            operable = sum(region.fleet.containers[name].operable for name in layer.containers)
            serving = sum(region.fleet.containers[name].serving for name in layer.containers)
            assert operable <= line.operable <= serving
            assert line.containers == len(layer.containers)


@given(SEEDS)
def test_a_region_never_takes_the_last_one_of_a_layer(seed):
    operability = Operability()
    for frame in frames_of(seed, 0.0):
        operability.take(frame)
    assert all(line.never_zero for line in operability.lines())


@given(SEEDS, st.lists(st.integers(0, 40), min_size=1).filter(any))
def test_the_certificate_is_the_same_in_whatever_frames_it_came(seed, sizes):
    one, other = Operability(), Operability()
    for frame in frames_of(seed):
        one.take(frame)
    for frame in regrouped(commits_of(frames_of(seed)), sizes):
        other.take(frame)
    assert one.lines() == other.lines()


@given(SEEDS)
def test_the_minimum_is_the_least_of_the_timeline(seed):
    operability = Operability()
    for frame in frames_of(seed):
        operability.take(frame)
    for line in operability.lines():
        if line.since:
            assert line.minimum == min(count for _, count in line.timeline)
            first = next(at for at, count in line.timeline if count == line.minimum)
            assert line.minimum_at == first
            assert line.operable == line.timeline[-1][1]
            assert line.minimum <= line.unexcused


def asked(reads, name, **fields):
    query = QUERIES[name]
    said = answer(query, reads, msgspec.convert(fields, query.shape), PLENTY)
    assert isinstance(said, bytes), said
    return msgspec.json.decode(said)


def test_two_tenants_may_use_one_id_and_each_reads_its_own():
    book = Book()
    for tenant in ("acme", "umbrella", ""):
        commit = msgspec.structs.replace(book.commit(ask="same"), tenant=Tenant(tenant))
        book.frame(commit)
    reads = built(book.frames)
    for tenant in ("acme", "umbrella", ""):
        assert asked(reads, "command.show", id="same", tenant=tenant)["tenant"] == tenant
    theirs = asked(reads, "command.list", tenant="acme")["items"]
    assert [item["tenant"] for item in theirs] == ["acme"]
    first = asked(reads, "command.list", limit=2)
    rest = asked(reads, "command.list", limit=2, after=first["next"])
    tenants = [item["tenant"] for item in [*first["items"], *rest["items"]]]
    assert tenants == ["", "umbrella", "acme"]
