"""The switch of a host: what is not kept runs until it ends, agent or no agent."""

from pathlib import Path

import pytest

from domain.messages import ContainerId
from handlers.agent.behaviour import Behaviour
from handlers.agent.runtime import Spec
from handlers.agent.simulated import SimulatedRuntime
from handlers.agent.switch import NEVER_S, Switch

FAST = Behaviour(speed=1_000.0)
FENCED, KEPT = ContainerId("node1"), ContainerId("node2")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def spec(name: ContainerId, *, keep: bool = False) -> Spec:
    return Spec(name, name, "restow/counter:1", 1, 1, 1, "10.0.0.1", keep=keep)


def opened(folder: Path, clock: Clock) -> SimulatedRuntime:
    return SimulatedRuntime(folder / "containers", "h01", FAST, clock=clock)


async def two(folder: Path, clock: Clock) -> SimulatedRuntime:
    runtime = opened(folder, clock)
    await runtime.start(spec(FENCED), "or1")
    await runtime.start(spec(KEPT, keep=True), "or2")
    return runtime


def running(runtime: SimulatedRuntime) -> list[str]:
    return [str(one.container) for one in runtime.containers() if one.running]


def test_it_is_remembered(tmp_path: Path) -> None:
    switch = Switch(tmp_path / "switch")
    assert switch.until_s == NEVER_S
    switch.arm(12.5)
    switch.close()

    again = Switch(tmp_path / "switch")

    assert again.until_s == 12.5
    again.close()


async def test_until_it_was_armed_everything_runs(tmp_path: Path, clock: Clock) -> None:
    runtime = await two(tmp_path, clock)
    clock.now_s += 1_000_000

    assert running(runtime) == [FENCED, KEPT]
    runtime.close()


async def test_when_it_ends_only_what_is_kept_runs_on(tmp_path: Path, clock: Clock) -> None:
    runtime = await two(tmp_path, clock)
    runtime.arm(clock.now_s + 20)

    clock.now_s += 19
    assert running(runtime) == [FENCED, KEPT]
    clock.now_s += 1
    assert running(runtime) == [KEPT]
    assert runtime.kept() == (KEPT,)
    runtime.close()


async def test_it_ends_without_an_agent_too(tmp_path: Path, clock: Clock) -> None:
    runtime = await two(tmp_path, clock)
    runtime.arm(clock.now_s + 20)
    runtime.close()
    clock.now_s += 30

    again = opened(tmp_path, clock)

    assert running(again) == [KEPT]
    counted = again.count(FENCED)
    clock.now_s += 30
    assert again.count(FENCED) == counted, "it stood still from when the switch went off"
    again.close()


async def test_armed_again_too_late_nothing_comes_to_life_by_itself(
    tmp_path: Path, clock: Clock
) -> None:
    runtime = await two(tmp_path, clock)
    runtime.arm(clock.now_s + 20)
    clock.now_s += 30

    runtime.arm(clock.now_s + 20)

    assert running(runtime) == [KEPT]
    runtime.close()


async def test_what_it_stopped_is_started_again_where_it_may_run_after_all(
    tmp_path: Path, clock: Clock
) -> None:
    runtime = await two(tmp_path, clock)
    runtime.fence()
    runtime.arm(clock.now_s + 20)

    runtime.revive()

    assert running(runtime) == [FENCED, KEPT]
    assert [one.restarts for one in runtime.usage()] == [1, 0]
    runtime.close()


async def test_what_others_decide_about_is_not_started_again(tmp_path: Path, clock: Clock) -> None:
    runtime = await two(tmp_path, clock)
    runtime.fence()
    runtime.forgive()
    runtime.arm(clock.now_s + 20)

    runtime.revive()

    assert running(runtime) == [KEPT]
    runtime.close()


async def test_a_frozen_one_is_fenced_too(tmp_path: Path, clock: Clock) -> None:
    runtime = await two(tmp_path, clock)
    await runtime.pause(FENCED)
    runtime.fence()
    runtime.arm(clock.now_s + 20)

    await runtime.resume(FENCED)

    assert running(runtime) == [KEPT]
    runtime.close()
