"""Lines of triggers say what the region knows of them; their history what came of each firing."""

from functools import cache

import msgspec
import pytest

from domain.messages import Refusal
from domain.trigger import TriggerFired, TriggerRefused, TriggerSettled
from domain.wire import decode_frame
from projections import answers, triggers
from projections import questions as q
from projections.reads import Reads
from projections.triggers import FiringLine
from restow.simulation.world import World
from tests.simulation.test_triggers import (
    follow_a_wave,
    more_then_fewer,
    refused_and_again,
    removed_meanwhile,
)


@cache
def read(story) -> tuple[World, Reads]:
    world = World(1)
    story(world)
    reads = Reads()
    for data in world.journal:
        reads.take(decode_frame(data))
    return world, reads


def history(reads: Reads, **body) -> list[FiringLine]:
    return list(answers.firings(reads, msgspec.convert(body, q.TriggerHistory)))


def test_each_firing_has_a_line_with_who_when_why_and_what_came_of_it():
    world, reads = read(follow_a_wave)

    newest, oldest = history(reads)
    fired = [(at, f) for at, f in world.happened() if isinstance(f, TriggerFired)]
    settled = [(at, f) for at, f in world.happened() if isinstance(f, TriggerSettled)]
    for line, (at, fact), (ended, _) in zip((oldest, newest), fired, settled, strict=True):
        assert (line.at, line.count, line.wanted) == (at, fact.count, fact.wanted)
        assert (line.why, line.usage, line.since) == ("usage", fact.usage, fact.since)
        assert (line.outcome, line.came_to, line.settled_at) == ("done", fact.wanted, ended)
        assert line.operation == fact.operation
        assert line.actor == "trigger:tr1"


def test_a_refusal_has_a_line_with_its_reason():
    world, reads = read(refused_and_again)

    newest, oldest = history(reads, trigger="tr1")
    (told,) = [fact for _, fact in world.happened() if isinstance(fact, TriggerRefused)]
    assert (oldest.outcome, oldest.code, oldest.detail) == ("refused", told.code, told.detail)
    assert (oldest.operation, oldest.until) == ("", told.until)
    assert (newest.outcome, newest.operation) == ("done", "op3")


def test_history_is_of_a_trigger_a_layer_or_all_and_goes_on_from_a_position():
    _, reads = read(more_then_fewer)

    newest, oldest = history(reads)
    assert history(reads, environment="shop", layer="app") == [newest, oldest]
    assert history(reads, trigger="tr9") == history(reads, layer="sql") == []
    assert history(reads, after=newest.position) == [oldest]


def test_what_a_removed_trigger_did_is_still_told():
    _, reads = read(removed_meanwhile)

    (line,) = history(reads)
    assert (line.trigger, line.outcome) == ("tr1", "")
    assert reads.fleet.triggers == {}


def test_of_a_long_history_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(triggers, "HISTORY_MAX", 1)
    world, reads = World(1), Reads()
    more_then_fewer(world)
    for data in world.journal:
        reads.take(decode_frame(data))

    (line,) = history(reads)
    assert (line.count, line.wanted) == (5, 3)


def test_a_line_says_what_a_trigger_does_now():
    world, _ = read(refused_and_again)
    reads = Reads()
    seen = []
    for data in world.journal:
        reads.take(decode_frame(data))
        seen += [line.state for line in answers.triggers(reads, q.TriggerList())]

    assert list(dict.fromkeys(seen)) == ["watching", "scaling"]
    (line,) = answers.triggers(reads, q.TriggerList(environment="shop", layer="app"))
    assert line.ready_at > reads.at
    assert line.min_count == 2
    assert list(answers.triggers(reads, q.TriggerList(layer="sql"))) == []
    assert list(answers.triggers(reads, q.TriggerList(after="tr1"))) == []
    assert answers.trigger(reads, q.TriggerShow(trigger="tr1")) == line


def test_one_that_is_off_says_so_and_one_that_is_not_there_is_not_found():
    world, _ = read(refused_and_again)
    off = msgspec.structs.replace(next(iter(world.fleet.triggers.values())), enabled=False)
    reads = read(refused_and_again)[1]

    assert triggers.trigger_line(off, 1).state == "off"
    found = answers.trigger(reads, q.TriggerShow(trigger="tr7"))
    assert isinstance(found, Refusal)
    assert "tr1" in found.detail
