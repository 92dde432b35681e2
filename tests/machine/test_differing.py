"""What changed between two moments, who did it, and when a condition turned true."""

from random import Random
from typing import Any

import pytest

from domain.fleet import Fleet
from domain.messages import ContainerId
from domain.nouns import TABLES
from projections.aggregates import everything, find, named, spelled
from projections.bisecting import NoTurn, Turn, bisect
from projections.conditions import ConditionError, condition
from projections.differing import CAUSES_MAX, Differing, changes_of, some
from projections.moments import Moment
from tests.machine.histories import History

END = Moment(position=10**9)
START = Moment(position=0)


async def fleet_at(history: History, position: int) -> Fleet:
    return (await history.reaching.whole(Moment(position=position))).reads.fleet


def told(fleet: Fleet) -> dict[str, Any]:
    return {name: spelled(one) for name, one in everything(fleet)}


async def differences(history, begin: int, end: int):
    reached = await history.reaching.reach(Moment(position=begin))
    differing = Differing(reached.reads.fleet)
    async for position, commit in history.reaching.commits(
        reached.reads.position, Moment(position=end)
    ):
        differing.take(position, commit)
    return {one.id: one for one in differing.told()}


async def test_a_difference_is_what_makes_one_moment_the_other(history):
    dice, end = Random(1), await history.journal.end()
    for _ in range(30):
        begin, upto = sorted((dice.randint(0, end), dice.randint(0, end)))
        found = await differences(history, begin, upto)
        old, new = told(await fleet_at(history, begin)), told(await fleet_at(history, upto))
        assert set(found) == {name for name in {*old, *new} if old.get(name) != new.get(name)}
        for name, one in found.items():
            assert one.changes == tuple(changes_of(old.get(name), new.get(name)))
            assert (one.kind == "added") == (name not in old)
            assert (one.kind == "removed") == (name not in new)
            assert all(begin < cause.position <= upto for cause in one.causes)
            assert one.commits >= len(one.causes) > 0


async def test_causes_are_the_commits_that_changed_it(history):
    end = await history.journal.end()
    found = await differences(history, 0, end)
    commits = {c.ask: c for frame in history.frames for c in frame.commits}
    for one in found.values():
        for cause in one.causes:
            assert commits[cause.ask].command == cause.command
    assert found["environment.shop"].causes[0].command == "environment.create"
    assert "host.register" in {cause.command for cause in found["host.h01"].causes}


def test_of_very_many_causes_the_ends_are_told():
    many: Any = list(range(100))
    ends: Any = some(many)
    assert list(ends) == [*range(CAUSES_MAX // 2), *range(100 - CAUSES_MAX // 2, 100)]
    few: Any = some(many[:CAUSES_MAX])
    assert list(few) == list(range(CAUSES_MAX))


def test_changes_are_told_by_their_path():
    old = {"a": {"b": [1, 2]}, "same": 1, "list": [1]}
    new = {"a": {"b": [1, 3]}, "same": 1, "list": [1, 2]}
    assert [(one.path, one.old, one.new) for one in changes_of(old, new)] == [
        ("a.b[1]", 2, 3),
        ("list", [1], [1, 2]),
    ]


def test_every_table_of_the_fleet_is_known_or_derived():
    derived = {"orders", "growing", "counters", "ended", "deadlines", "waiting", "moving"}
    derived |= {"forgotten", "networks"}
    tables = {name for name, one in vars(Fleet()).items() if isinstance(one, dict)}
    assert set(TABLES.values()) == tables - derived


def test_aggregates_are_found_as_they_are_called(history):
    del history
    fleet = Fleet()
    assert find(fleet, "container.node1") is None
    assert named("layer", ("shop", "app")) == "layer.shop/app"
    with pytest.raises(KeyError):
        find(fleet, "colour.red")


@pytest.mark.parametrize("every", [False, True])
async def test_a_turn_is_one_and_every_commit_finds_the_first(history, every):
    wanted = condition("container.node3 exists")
    found = await bisect(history.reaching, wanted, START, END, every=every)
    assert isinstance(found, Turn)
    assert (found.event, found.first) == ("container.placed", every)
    assert ContainerId("node3") not in (await fleet_at(history, found.position - 1)).containers
    assert ContainerId("node3") in (await fleet_at(history, found.cause.position)).containers
    assert found.before == {"container.node3": False}
    assert found.data["container"] == "node3"


@pytest.mark.parametrize(
    "text",
    [
        "host.h02.used > 2",
        "containers.count >= 4",
        "layer.shop/app.containers.count == 5",
        "container.node1.host != h01 and container.node1 exists",
        "layer.spare/one gone and environment.spare exists",
        "container.node2.reserved == 40",
        "host.h06.state == evacuating",
        "host.h01.labels.zone == a",
    ],
)
async def test_the_first_turn_is_that_of_a_walk_over_all_positions(history, text):
    wanted = condition(text)
    held = [
        wanted.holds(await fleet_at(history, position))
        for position in range(0, await history.journal.end() + 1, 1)
    ]
    turns = [n for n in range(1, len(held)) if held[n] and not held[n - 1]]
    found = await bisect(history.reaching, wanted, START, END, every=True)
    if held[0] or not turns:
        assert isinstance(found, NoTurn)
        return
    assert isinstance(found, Turn)
    assert found.cause.position == turns[0]
    halved = await bisect(history.reaching, wanted, START, END, every=False)
    assert isinstance(halved, Turn) == held[-1]
    if isinstance(halved, Turn):
        assert halved.cause.position in turns
        assert not held[halved.false_at]


async def test_what_was_true_already_and_what_never_was_is_told_so(history):
    always = await bisect(history.reaching, condition("host.h99 gone"), START, END, every=False)
    never = await bisect(history.reaching, condition("host.h99 exists"), START, END, every=False)
    looked = await bisect(history.reaching, condition("host.h99 exists"), START, END, every=True)
    assert isinstance(always, NoTurn)
    assert always.always
    assert isinstance(never, NoTurn)
    assert (never.always, never.looked_at) == (False, 2)
    assert isinstance(looked, NoTurn)
    assert looked.looked_at > 20
    assert looked.end == never.end


async def test_between_two_moments_only_these_are_looked_at(history):
    begin, end = 60, 200
    wanted = condition("containers.count >= 1")
    found = await bisect(
        history.reaching, wanted, Moment(position=begin), Moment(position=end), every=True
    )
    assert isinstance(found, NoTurn)
    assert found.always


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no condition"),
        ("host.h1.used", "is no condition"),
        ("host.h1.used >> 3", "is no condition"),
        ("host.h1 > 3", "names no member"),
        ("colour.red == 1", "begins with none of host"),
        ("host.h1.state > cordoned", "has no order"),
        ("host.h1.used exists", "only an aggregate"),
        ("hosts.count exists", "only an aggregate"),
        ("host == 3", "begins with none"),
    ],
)
def test_what_is_no_condition_is_told_how_to_write_one(text, said):
    with pytest.raises(ConditionError, match=said):
        condition(text)


async def test_a_member_that_is_not_there_is_told_with_those_that_are(history):
    fleet = await fleet_at(history, 200)
    with pytest.raises(ConditionError, match=r"Host has no 'colour'; it has .*cloudlets"):
        condition("host.h01.colour == red").holds(fleet)
    assert not condition("host.h99.colour == red").holds(fleet)
    assert condition("host.h01.used >= 0").holds(fleet)
    assert not condition("host.h01.zone > 1").holds(fleet)
    assert condition("container.node1.running == true").found(fleet)
