"""A container moves from host to host over a real bus: entirely, or not at all."""

import asyncio

import msgspec
import pytest

from domain.messages import MigrationId
from domain.orders import CallOff, MigrateOut, Resize, Restart, Start, Stop
from handlers.agent.behaviour import Behaviour
from handlers.agent.peers import Drop, Go, Prepare, Reply
from handlers.agent.runtime import Image
from handlers.bus import flush
from tests.agent.fleet import FAST, H1, H2, MV1, PACE, START, WEB, Fleet, Fuse, move

SLOW_COPY = Behaviour(speed=200.0, durations_ms={"copy": (10_000_000, 10_000_000)})


def refusing(kind: str) -> Behaviour:
    return Behaviour(speed=200.0, failures={kind: 1.0})


async def started(fleet: Fleet) -> None:
    assert (await fleet.done("o1", H1, START)).done
    await fleet.until(lambda: [report.healthy for report in fleet.health()] == [True])


async def replaced(fleet: Fleet, host, behaviour: Behaviour) -> None:
    await fleet.kill(host)
    await fleet.agent(host, behaviour)


async def peer(fleet: Fleet, saying) -> Reply:
    verb = saying.__struct_config__.tag
    message = await fleet.bus.request(
        fleet.subjects.peer(H2, verb), msgspec.json.encode(saying), timeout=5
    )
    return msgspec.json.decode(message.data, type=Reply)


async def test_it_moves_without_a_restart(fleet):
    await started(fleet)
    before = fleet.truth.lives[H1, WEB]
    answer = await fleet.done("o2", H1, move())
    assert (answer.done, answer.located, answer.running) == (True, H2, False)
    assert 0 < answer.freeze_ms <= answer.total_ms < 5_000
    after = fleet.truth.lives[H2, WEB]
    assert fleet.truth.hosts("running") == [H2]
    assert list(fleet.truth.lives) == [(H2, WEB)]
    assert after.age_ms > before.age_ms
    assert (after.restarts, after.mark, after.spec) == (0, before.mark, before.spec)
    assert fleet.phases() == ["checked", "copying", "frozen", "resumed", "reachable"]
    assert len(fleet.answers("o2")) == 1


async def test_it_moves_back_again(fleet):
    await started(fleet)
    await fleet.done("o2", H1, move())
    back = MigrateOut(MigrationId("mv2"), H1, 20_000, 4, 8, 10)
    assert (await fleet.done("o3", H2, back)).located == H1
    assert list(fleet.truth.lives) == [(H1, WEB)]
    assert (await fleet.done("o4", H1, Resize(5, 9))).done
    assert fleet.truth.lives[H1, WEB].spec.cloudlets == 5


@pytest.mark.parametrize("kind", ["receive", "prepare"])
async def test_a_target_that_refuses_leaves_it_on_its_source(fleet, kind):
    await started(fleet)
    await replaced(fleet, H2, refusing(kind))
    answer = await fleet.done("o2", H1, move())
    assert (answer.done, answer.located, answer.running) == (False, H1, True)
    assert f"{kind} failed on h02" in answer.detail
    assert list(fleet.truth.lives) == [(H1, WEB)]
    assert fleet.truth.hosts("running") == [H1]


@pytest.mark.parametrize("kind", ["copy", "pause", "dump", "transfer"])
async def test_a_failure_of_the_source_leaves_it_there(fleet, kind):
    await started(fleet)
    await replaced(fleet, H1, refusing(kind))
    answer = await fleet.done("o2", H1, move())
    assert (answer.done, answer.located, answer.running) == (False, H1, True)
    assert f"{kind} failed" in answer.detail
    assert fleet.truth.hosts("running") == [H1]


async def test_a_target_that_is_away_leaves_it_on_its_source(fleet):
    await started(fleet)
    await fleet.kill(H2)
    answer = await fleet.done("o2", H1, move())
    assert (answer.done, answer.detail) == (False, "h02 does not answer")
    assert fleet.truth.hosts("running") == [H1]


@pytest.mark.parametrize("slow", ["copy", "dump"])
async def test_past_the_deadline_it_runs_on_its_source(fleet, slow):
    await started(fleet)
    long = Behaviour(speed=200.0, durations_ms={slow: (10_000_000, 10_000_000)})
    await replaced(fleet, H1, long)
    answer = await fleet.done("o2", H1, move(deadline_ms=200))
    assert (answer.done, answer.located, answer.running) == (False, H1, True)
    assert "in time, of 200 ms" in answer.detail
    assert answer.total_ms >= 150
    assert fleet.truth.hosts("running") == [H1]
    assert fleet.truth.lives[H1, WEB].restarts == 0


async def test_a_call_off_before_the_point_of_no_return_keeps_it_here_for_ever(fleet):
    await started(fleet)
    await replaced(fleet, H1, SLOW_COPY)
    await fleet.order("o2", H1, move())
    await fleet.until(lambda: "copying" in fleet.phases())
    off = await fleet.done("o3", H1, CallOff(MV1))
    assert (off.done, off.located, off.running) == (True, H1, True)
    out = await fleet.answer("o2")
    assert (out.done, out.detail, out.located) == (False, "called off", H1)
    assert out.total_ms < 5_000  # nobody waited for the deadline
    again = await fleet.done("o4", H1, move())
    assert (again.done, again.located) == (False, H1)
    assert fleet.truth.hosts("running") == [H1]


async def test_a_call_off_that_comes_first_forbids_what_comes_late(fleet):
    await started(fleet)
    assert (await fleet.done("o3", H1, CallOff(MV1))).located == H1
    answer = await fleet.done("o2", H1, move())
    assert (answer.done, "called-off" in answer.detail) == (False, True)
    assert fleet.phases() == []


async def test_a_call_off_afterwards_says_where_it_went(fleet):
    await started(fleet)
    await fleet.done("o2", H1, move())
    off = await fleet.done("o3", H1, CallOff(MV1))
    assert (off.done, off.located, off.running) == (True, H2, False)
    assert fleet.truth.hosts("running") == [H2]


async def test_a_call_off_where_nothing_is_known_says_so(fleet):
    off = await fleet.done("o3", H1, CallOff(MV1))
    assert (off.done, off.located) == (False, None)


async def test_a_resize_while_it_is_copied_travels_along(fleet):
    await started(fleet)
    slow = Behaviour(speed=200.0, durations_ms={"copy": (20_000, 20_000)})
    await replaced(fleet, H1, slow)
    await fleet.order("o2", H1, move())
    await fleet.until(lambda: "copying" in fleet.phases())
    assert (await fleet.done("o3", H1, Resize(6, 12))).done
    assert fleet.answers("o2") == []
    assert (await fleet.answer("o2")).located == H2
    spec = fleet.truth.lives[H2, WEB].spec
    assert (spec.cloudlets, spec.limit) == (6, 12)


async def test_a_resize_while_it_is_frozen_is_done_where_it_then_runs(fleet):
    await started(fleet)
    slow = Behaviour(speed=200.0, durations_ms={"transfer": (60_000, 60_000)})
    await replaced(fleet, H1, slow)
    await fleet.order("o2", H1, move())
    await fleet.until(lambda: "frozen" in fleet.phases())
    resized = await fleet.done("o3", H1, Resize(6, 12))
    assert (resized.done, resized.located, resized.running) == (True, H2, True)
    spec = fleet.truth.lives[H2, WEB].spec
    assert (spec.cloudlets, spec.limit) == (6, 12)


async def test_a_container_that_is_not_there_cannot_move(fleet):
    answer = await fleet.done("o2", H1, move())
    assert (answer.done, answer.located, answer.running) == (False, None, False)
    assert answer.detail == "node1 does not run on h01"


async def test_a_late_copy_of_what_was_dropped_is_not_held(fleet):
    assert (await peer(fleet, Drop(MV1, WEB, H1))).ok
    prepared = await peer(fleet, Prepare(MV1, H1, Image.of(WEB, b"?")))
    assert (prepared.ok, prepared.detail) == (False, "mv1 was dropped here")
    assert not (await peer(fleet, Go(MV1))).ok


async def test_what_runs_on_the_target_is_not_dropped(fleet):
    await started(fleet)
    await fleet.done("o2", H1, move())
    assert not (await peer(fleet, Drop(MV1, WEB, H1))).ok
    assert (await peer(fleet, Go(MV1))).ok
    assert fleet.truth.hosts("running") == [H2]


async def test_a_target_that_hears_neither_go_nor_drop_asks(fleet):
    """The source gives up while the target is dead, so the drop is lost."""
    await started(fleet)
    slow = Behaviour(speed=200.0, failures={"dump": 0.0})
    await replaced(fleet, H1, slow)
    held = asyncio.Event()

    async def held_back(_message) -> None:
        held.set()

    await fleet.bus.subscribe(fleet.subjects.peer(H2, "drop"), cb=held_back)
    await flush(fleet.bus)
    image = Image.of(WEB, msgspec.msgpack.encode(fleet.truth.lives[H1, WEB]))
    await fleet.done("o3", H1, CallOff(MV1))
    assert (await peer(fleet, Prepare(MV1, H1, image))).ok
    assert fleet.truth.hosts("held") == [H2]
    await fleet.until(lambda: fleet.truth.hosts("held") == [])
    assert fleet.truth.hosts("running") == [H1]
    assert not held.is_set()


async def test_a_copy_from_an_earlier_migration_is_not_taken_for_a_new_one(fleet):
    await started(fleet)
    await fleet.done("o3", H1, CallOff(MV1))
    stale = msgspec.structs.replace(fleet.truth.lives[H1, WEB], restarts=77)
    assert (await peer(fleet, Prepare(MV1, H1, Image.of(WEB, msgspec.msgpack.encode(stale))))).ok
    second = MigrateOut(MigrationId("mv2"), H2, 20_000, 4, 8, 10)
    assert (await fleet.done("o4", H1, second)).located == H2
    assert fleet.truth.lives[H2, WEB].restarts == 0


async def test_a_target_that_asks_too_early_goes_on_holding(fleet):
    await started(fleet)
    await replaced(fleet, H1, SLOW_COPY)
    await fleet.order("o2", H1, move())
    await fleet.until(lambda: "copying" in fleet.phases())
    image = Image.of(WEB, msgspec.msgpack.encode(fleet.truth.lives[H1, WEB]))
    assert (await peer(fleet, Prepare(MV1, H1, image))).ok
    await asyncio.sleep(3 * PACE.doubt_s)
    assert (fleet.truth.hosts("running"), fleet.truth.hosts("held")) == ([H1], [H2])
    await fleet.done("o3", H1, CallOff(MV1))
    await fleet.until(lambda: fleet.truth.hosts("held") == [])


async def test_a_target_that_was_told_to_go_needs_its_source_no_more(fleet):
    """It dies just after it wrote that down, and the source dies too."""
    await started(fleet)
    await fleet.kill(H2)
    told_to_go = Fuse(3)
    await fleet.agent(H2, fuse=told_to_go)
    await fleet.order("o2", H1, move())
    await fleet.until(lambda: told_to_go.blown)
    await fleet.kill(H1)
    assert (fleet.truth.hosts("paused"), fleet.truth.hosts("held")) == ([H1], [H2])
    await fleet.agent(H2)
    await fleet.until(lambda: fleet.truth.hosts("running") == [H2])


async def test_a_source_that_forgot_costs_no_last_copy(fleet):
    """Nobody says that it may be destroyed, so it is held."""
    lost = Start("web-1", "nginx", 4, 8, 10, "10.0.0.1")
    await fleet.done("o1", H1, lost)
    image = Image.of(WEB, msgspec.msgpack.encode(fleet.truth.lives[H1, WEB]))
    await fleet.done("o2", H1, Stop())
    assert (await peer(fleet, Prepare(MigrationId("mv9"), H1, image))).ok
    await asyncio.sleep(0.5)
    assert fleet.truth.hosts("held") == [H2]


async def test_a_restart_while_it_is_copied_moves_the_new_life(fleet):
    await started(fleet)
    slow = Behaviour(speed=200.0, durations_ms={"copy": (50_000, 50_000)})
    await replaced(fleet, H1, slow)
    await fleet.order("o2", H1, move())
    await fleet.until(lambda: "copying" in fleet.phases())
    assert (await fleet.done("o3", H1, Restart())).done
    assert (await fleet.answer("o2")).located == H2
    assert fleet.truth.lives[H2, WEB].restarts == 1


async def test_the_bus_may_be_deaf_while_it_moves(fleet):
    """Nothing that the engine says or hears is needed between the order and the report."""
    await started(fleet)
    fleet.deaf = True
    await fleet.order("o2", H1, move())
    await fleet.until(lambda: list(fleet.truth.lives) == [(H2, WEB)])
    fleet.deaf = False
    assert (await fleet.answer("o2")).located == H2
    assert FAST.speed == 200.0
