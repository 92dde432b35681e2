"""A fork goes on from any moment as the region would have, and leaves everything else alone."""

import msgspec
import pytest

from domain.contracts import Reply
from domain.host import HostState
from domain.invariants import broken
from domain.messages import ContainerId, HostId, OperationId
from domain.operation import OperationState
from domain.problems import Problem
from projections.moments import Moment
from restow.forking import Fork
from tests.machine.histories import History, everything
from tests.projections.story import frames_of


async def forked(history: History, position: int) -> Fork:
    reads = (await history.reaching.reach(Moment(position=position))).reads
    reads.keep_events()
    return Fork(reads)


@pytest.fixture
async def fork(history) -> Fork:
    return await forked(history, await history.journal.end())


def fleet(fork: Fork):
    return fork._region.fleet  # noqa: SLF001 - what is to be looked at


async def test_what_is_asked_is_done_to_its_end(fork):
    told = await fork.ask("layer.scale", {"environment": "shop", "layer": "app", "by": 1})
    assert isinstance(told, Reply), told
    operation = fleet(fork).operations[OperationId(told.operation_id)]
    assert (operation.state, operation.outcome) == (OperationState.FINISHED, "done")
    shown = await fork.read("operation.show", {"operation": told.operation_id})
    assert isinstance(shown, dict)
    assert shown["outcome"] == "done"
    assert told.containers
    assert all(fleet(fork).containers[ContainerId(name)].operable for name in told.containers)


async def test_a_host_is_emptied(fork):
    told = await fork.ask("host.evacuate", {"host": "h01"})
    assert isinstance(told, Reply), told
    assert fleet(fork).hosts[HostId("h01")].state is HostState.EVACUATED
    assert not any(one.host == "h01" for one in fleet(fork).containers.values())


async def test_refused_and_wrong_and_asked_twice(fork):
    refused = await fork.ask("host.remove", {"host": "h99"})
    wrong = await fork.ask("host.cordon", {"host": "h01", "colour": "red"})
    unknown = await fork.ask("host.paint", {})
    assert [isinstance(one, Problem) for one in (refused, wrong, unknown)] == [True] * 3
    body = {"host": "h02", "id": "the-same", "reason": "a fan"}
    first = await fork.ask("host.cordon", body)
    position = fork.position
    again = await fork.ask("host.cordon", body)
    assert isinstance(first, Reply)
    assert isinstance(again, Reply)
    assert fork.position == position


async def test_a_dry_run_changes_nothing(fork):
    before = fork.position
    told = await fork.ask("host.evacuate", {"host": "h01", "dry_run": True})
    assert isinstance(told, Reply)
    assert told.status == "planned"
    assert fork.position == before
    assert fork.differences() == []


async def test_differences_are_those_from_where_it_began(fork):
    await fork.ask("host.cordon", {"host": "h02", "reason": "a fan"})
    (one,) = fork.differences()
    assert (one.id, one.kind) == ("host.h02", "changed")
    assert one.causes[0].reason == "a fan"


async def test_history_is_left_alone(history):
    end = await history.journal.end()
    before = everything((await history.reaching.whole(Moment(position=end))).reads)
    fork = await forked(history, end)
    await fork.ask("environment.remove", {"environment": "shop"})
    assert fork.position > end
    assert await history.journal.end() == end
    assert everything((await history.reaching.whole(Moment(position=end))).reads) == before


@pytest.mark.parametrize("nth", [3, 4])
@pytest.mark.usefixtures("close_together")
async def test_from_any_moment_it_goes_on_and_keeps_the_promises(tmp_path, nth):
    history = await History(frames_of(nth), tmp_path).framed()
    for position in range(1, await history.journal.end(), 13):
        fork = await forked(history, position)
        fork.settle()
        assert not broken(fleet(fork)), position
        told = await fork.ask("host.cordon", {"host": "h03", "reason": "a fan"})
        assert isinstance(told, Reply | Problem)
        assert not fleet(fork).orders, position
        known = {ContainerId(name) for name in fleet(fork).containers}
        items = (await fork.read("container.list", {"limit": 1000}))["items"]  # type: ignore[index]
        assert {item["id"] for item in items} == known


async def test_time_passes_no_further_than_it_is_let(fork):
    told = await fork.ask("layer.restart", {"environment": "shop", "layer": "app", "ask": True})
    assert isinstance(told, Reply)
    operation = fleet(fork).operations[OperationId(told.operation_id)]
    assert operation.state is not OperationState.FINISHED
    now = fork.now
    fork.wait(60_000)
    assert fork.now == now + 60_000


async def test_questions_that_cannot_be_answered_say_why(fork):
    for query, body in (("colour.list", {}), ("host.show", {"host": "h99"}), ("host.show", {})):
        assert isinstance(await fork.read(query, body), Problem)
    status = await fork.read("status", {})
    assert isinstance(status, dict)
    assert status["position"] == fork.position
    (engine,) = await fork.engines()
    assert engine.leads
    events = await fork.read("event.list", {})
    assert isinstance(events, dict)
    assert msgspec.json.encode(events)
