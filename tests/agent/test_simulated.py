"""Simulated containers fail as the seed says, and the same way whenever they are asked."""

from hashlib import sha256

import msgspec
import pytest
from msgspec.structs import replace

from domain.messages import ContainerId
from domain.software import Application
from handlers.agent.behaviour import DURATIONS_MS, Behaviour, Dice
from handlers.agent.fetch import FetchFailedError, SimulatedFetch
from handlers.agent.runtime import RuntimeFailedError, Spec
from handlers.agent.simulated import COUNT_EVERY_MS, Life, SimulatedRuntime

WEB = ContainerId("node1")
SPEC = Spec(WEB, "web-1", "nginx:1.29", 4, 8, 10, "10.0.0.1")
SHOP = Application(vcs="https://git.example.org/shop.git", ref="v1")


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def opened(tmp_path, clock):
    runtimes: list[SimulatedRuntime] = []

    def runtime(speed: float = 1_000.0, **failures: float) -> SimulatedRuntime:
        behaviour = Behaviour(seed=3, speed=speed, failures=failures)
        made = SimulatedRuntime(tmp_path / f"c{len(runtimes)}", "h01", behaviour, clock=clock)
        runtimes.append(made)
        return made

    yield runtime
    for made in runtimes:
        made.close()


async def spec_of(runtime: SimulatedRuntime) -> Spec:
    """Return what a container is, as another host would be sent it."""
    await runtime.pause(WEB)
    image = await runtime.dump(WEB)
    return msgspec.msgpack.decode(image.body, type=Life).spec


async def test_it_counts_by_time(opened, clock):
    runtime = opened(speed=100.0)
    await runtime.start(SPEC, "o1")
    clock.seconds += 2
    assert runtime.count(WEB) == pytest.approx(2 * 100 * 1_000 / COUNT_EVERY_MS, abs=1)


async def test_a_failed_start_leaves_nothing(opened):
    runtime = opened(start=1.0)
    with pytest.raises(RuntimeFailedError, match="start failed on h01"):
        await runtime.start(SPEC, "o1")
    assert runtime.containers() == ()


async def test_a_failed_restart_leaves_the_old_one_running(opened, clock):
    runtime = opened(restart=1.0)
    await runtime.start(SPEC, "o1")
    clock.seconds += 2
    counted = runtime.count(WEB)
    with pytest.raises(RuntimeFailedError, match="restart"):
        await runtime.restart(WEB, "o2")
    seen = runtime.look(WEB)
    assert seen is not None
    assert seen.running
    assert runtime.count(WEB) == counted > 0


async def test_a_failed_redeploy_leaves_the_old_one_running(opened, clock):
    runtime = opened(redeploy=1.0)
    await runtime.start(SPEC, "o1")
    clock.seconds += 2
    counted = runtime.count(WEB)
    with pytest.raises(RuntimeFailedError, match="redeploy"):
        await runtime.redeploy(WEB, "nginx:1.30", None, "o2")
    assert runtime.count(WEB) == counted > 0
    assert await spec_of(runtime) == SPEC


async def test_a_redeploy_changes_image_and_application_and_keeps_all_else(opened):
    runtime = opened()
    kept = replace(SPEC, volumes=("/data",), variables={"DB": "sql"}, ports=(80,))
    await runtime.start(kept, "o1")
    await runtime.redeploy(WEB, "nginx:1.30", SHOP, "o2")
    assert await spec_of(runtime) == replace(kept, image="nginx:1.30", application=SHOP)


async def test_what_was_halted_and_started_again_has_what_it_had(opened):
    runtime = opened()
    kept = replace(SPEC, volumes=("/data",), variables={"DB": "sql"}, ports=(80,))
    await runtime.start(kept, "o1")
    await runtime.halt(WEB)
    await runtime.start(kept, "o2")
    assert await spec_of(runtime) == kept


async def test_an_application_is_fetched_and_known_by_its_digest():
    fetch = SimulatedFetch(Behaviour(seed=3, speed=1_000.0), "h01")
    fetched = await fetch.fetch(SHOP, "o1")
    assert fetched.application == SHOP
    assert fetched.digest == sha256(SHOP.label.encode()).hexdigest()
    named = Application(archive="https://example.org/shop.zip", sha256="0" * 64)
    assert (await fetch.fetch(named, "o2")).digest == "0" * 64


async def test_an_application_that_cannot_be_fetched_is_said_so():
    fetch = SimulatedFetch(Behaviour(seed=3, speed=1_000.0, failures={"fetch": 1.0}), "h01")
    with pytest.raises(FetchFailedError, match="@v1 could not be fetched"):
        await fetch.fetch(SHOP, "o1")


async def test_a_container_may_never_become_healthy(opened, clock):
    runtime = opened(healthy=1.0)
    await runtime.start(SPEC, "o1")
    clock.seconds += 3_600
    seen = runtime.look(WEB)
    assert seen is not None
    assert (seen.running, seen.healthy) == (True, False)


async def test_a_container_may_die_by_itself_and_be_started_again(opened, clock):
    runtime = opened(crash=1.0)
    await runtime.start(SPEC, "o1")
    clock.seconds += 3_600
    seen = runtime.look(WEB)
    assert seen is not None
    assert (seen.state, seen.healthy) == ("stopped", False)
    assert runtime.usage() == ()
    await runtime.start(SPEC, "o2")
    seen = runtime.look(WEB)
    assert seen is not None
    assert seen.running


async def test_the_same_seed_draws_the_same_in_any_order():
    one, two = (Dice(Behaviour(seed=5, failures={"start": 0.5}), "h01") for _ in range(2))
    names = [f"o{number}" for number in range(50)]
    drawn = [(one.fails("start", name), one.lasts_ms("start", name)) for name in names]
    again = [(two.fails("start", name), two.lasts_ms("start", name)) for name in reversed(names)]
    assert drawn == again[::-1]
    assert {fails for fails, _ in drawn} == {True, False}
    low, high = DURATIONS_MS["start"]
    assert all(low <= lasts <= high for _, lasts in drawn)
    other = Dice(Behaviour(seed=6), "h01")
    assert [other.lasts_ms("start", name) for name in names] != [lasts for _, lasts in drawn]
