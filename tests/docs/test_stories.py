"""The diagrams show what the sagas do: all of it, and nothing else."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from domain.chronicle import evolve
from domain.facts import members, tag
from domain.fleet import Fleet
from domain.growth import GrowthEvent, GrowthState
from domain.host import CordonHost
from domain.migration import MigrationEvent, MigrationState
from domain.operation import (
    OperationEvent,
    OperationState,
    Outcome,
    Stage,
    StepKind,
)
from domain.rebalance import RebalanceEvent
from domain.wire import decode_frame
from restow.exploring import Happening, Input, copy
from restow.pages import filled, pages, parts
from restow.simulation.stories import live
from restow.stories import ALIKE, Transition, block, seen, transitions
from tests.docs.explored import explored

pytestmark = pytest.mark.timeout(600)  # whoever asks first goes every way

NOBODY = CordonHost(host="nobody")
"""A command of a heard input that a journal does not tell."""
ROOT = Path(__file__).parents[2]
WORLDS = range(40)
STORIES = (
    *("operation", "migration", "evacuation", "recovery", "recovery of a container", "growth"),
    "rebalance",
    "trigger",
    *(f"step {kind}" for kind in StepKind if kind not in ALIKE),
)


@pytest.fixture(scope="module", autouse=True)
def _explored() -> None:
    """Go every way once, before anybody asks for a diagram."""
    explored()


@cache
def shown() -> Mapping[str, str]:
    return pages(ROOT)


def told(journal: list[bytes]) -> Iterator[Happening]:
    """Tell a journal as a search tells what it finds."""
    before = Fleet()
    for data in journal:
        for commit in decode_frame(data).commits:
            facts = tuple(event.fact for event in commit.events)
            for fact in facts:
                after = copy(before)
                evolve(after, fact, commit.at)
                heard = Input(commit.command, "", NOBODY, commit.at)
                yield Happening(heard, fact, before, after, facts)
                before = after


def way(transition: Transition) -> tuple[str, ...]:
    """Return a transition without what was heard, which a journal does not tell."""
    return (
        transition.story,
        transition.before,
        transition.after,
        transition.event,
        transition.ordered,
    )


def test_the_pages_show_what_was_found():
    assert {path: (ROOT / path).read_text() for path in shown()} == shown()


@pytest.mark.parametrize("story", STORIES)
def test_each_story_has_a_page_that_shows_it(story):
    assert len([path for path, page in shown().items() if story in parts(page)]) == 1


def test_a_page_with_an_older_diagram_is_noticed():
    page = "# A\n<!-- generated: migration -->\n\nold\n<!-- end -->\nrest\n"

    assert "stateDiagram-v2" in filled(ROOT, page)
    assert "old" not in filled(ROOT, page)
    assert filled(ROOT, page).endswith("<!-- end -->\nrest\n")


def test_a_story_that_nobody_has_seen_is_refused():
    with pytest.raises(LookupError, match="voyage"):
        block("voyage")


def test_every_event_of_a_saga_was_found():
    shapes = {*members(OperationEvent), *members(MigrationEvent), *members(GrowthEvent)}
    shapes |= {*members(RebalanceEvent)}

    sagas = ("operation", "migration", "growth", "rebalance")
    assert {tag(shape) for shape in shapes} == {
        one for one in explored().tags if one.startswith(sagas)
    }


def test_every_place_of_a_saga_was_found():
    places = {(one.story.partition(" ")[0], one.after) for one in transitions()}

    outcomes = {"done", "failed", "cancelled", "rolled_back"}
    states = {*OperationState} - {OperationState.FINISHED} | outcomes
    assert {place for story, place in places if story == "operation"} == states
    assert {place for story, place in places if story == "step"} == {*Stage} | {*Outcome}
    assert {place for story, place in places if story == "migration"} == {*MigrationState}
    assert {place for story, place in places if story == "growth"} == {*GrowthState}


@pytest.mark.parametrize("number", WORLDS)
def test_no_random_world_shows_what_no_search_has_found(number):
    found = {way(one) for one in transitions()}

    lived = {way(one) for happening in told(live(number).journal) for one in seen(happening)}

    assert lived - found == set()


def test_the_invariants_hold_wherever_a_search_came():
    assert explored().broken == []


def test_nothing_is_stuck_wherever_a_search_came():
    assert explored().stuck == []


def test_an_answer_moves_only_the_step_that_waits_for_it():
    assert explored().strays == []
