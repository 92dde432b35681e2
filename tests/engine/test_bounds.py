"""Limits and dead letters in a whole region on a real server: both doors, and engines that die."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from domain.decider import Ask, Commit
from domain.decisions import DECIDE
from domain.facts import Fact
from domain.messages import AskId, Code, DeadId, Instant, Tenant
from domain.operation import PauseOperation
from domain.problems import BUGS, Problem
from domain.region import Region
from domain.subjects import Subjects
from handlers.bus import Bus, request
from handlers.doors.lane import TRIES_MAX
from handlers.journal.reader import Head, read
from handlers.journal.stream import info
from restow.client import Client
from tests.engine.site import PATIENCE_S, Site, site

ACME = Tenant("acme")


@pytest.fixture
async def region(nats_url: str, subjects: Subjects, tmp_path: Path) -> AsyncIterator[Site]:
    async with site(nats_url, subjects, tmp_path) as whole:
        yield whole


async def publish(bus: Bus, subjects: Subjects, body: bytes, name: str, tenant: str = ACME) -> None:
    subject = subjects.durable(tenant, "operation.pause")
    headers = {"Nats-Msg-Id": name}
    await request(bus, subject, body, headers=headers)


async def outcome(region: Site, name: str, tenant: str = ACME) -> dict[str, object]:
    """Wait for the outcome of a command of the durable door."""
    stream, subject = region.subjects.stream("RES"), region.subjects.outcome(tenant, name)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            body = msgspec.json.encode({"last_by_subj": subject})
            said = await request(region.bus, f"$JS.API.STREAM.MSG.GET.{stream}", body)
            found = msgspec.json.decode(said)
            if "message" in found:
                data = msgspec.convert(found["message"]["data"], bytes)
                told: dict[str, object] = msgspec.json.decode(data)
                return told
            await asyncio.sleep(0.05)


async def kept(region: Site) -> int:
    found = await info(region.bus, region.subjects.stream("CMD"))
    assert found is not None
    return found.state.messages


PAUSE = b'{"operation":"op9"}'


async def asked_by(region: Site, tenant: str) -> list[Commit[Fact]]:
    """Return the commits of a tenant's commands, as the journal has them."""
    commits: list[Commit[Fact]] = []
    async for _, frame in read(region.bus, region.subjects, Head()):
        commits.extend(commit for commit in frame.commits if commit.tenant == tenant)
    return commits


async def test_the_typed_door_says_which_limit_it_is_and_when_to_come_again(region: Site) -> None:
    await region.engine("e1")
    await region.done("tenant.limit", tenant=ACME, rate=1, burst=2)
    client = Client(region.bus, region.subjects, tenant=ACME)

    said = [await client.ask("operation.pause", {"operation": "op9"}) for _ in range(3)]
    other = await Client(region.bus, region.subjects, tenant="bravo").ask(
        "operation.pause", {"operation": "op9"}
    )

    codes = [one.code for one in said if isinstance(one, Problem)]
    assert codes == [Code.OPERATION_NOT_FOUND, Code.OPERATION_NOT_FOUND, Code.RATE_LIMITED]
    limited = said[-1]
    assert isinstance(limited, Problem)
    assert 0 < limited.retry_after_ms <= 1_000
    assert limited.facts == {"limit": "rate", "tenant": ACME, "rate": 1, "burst": 2}
    assert isinstance(other, Problem)
    assert other.code is Code.OPERATION_NOT_FOUND


async def test_the_durable_door_leaves_what_must_wait_in_its_order_also_over_a_crash(
    region: Site,
) -> None:
    await region.engine("e1")
    await region.done("tenant.limit", tenant=ACME, rate=40, burst=1)
    names = [f"w-{number:03}" for number in range(60)]
    for name in names:
        await publish(region.bus, region.subjects, PAUSE, name)
    await outcome(region, "w-010")
    assert await kept(region)
    region.crash("e1")
    await region.engine("e2")
    await outcome(region, names[-1])

    commits = await asked_by(region, ACME)
    assert [commit.ask for commit in commits] == names
    async with asyncio.timeout(PATIENCE_S):
        while await kept(region):
            await asyncio.sleep(0.05)


async def test_a_dead_letter_is_kept_over_a_crash_retried_and_dropped(region: Site) -> None:
    await region.engine("e1")
    await publish(region.bus, region.subjects, b'{"operation":', "p-1")
    await publish(region.bus, region.subjects, b"neither", "p-2")
    assert (await outcome(region, "p-2"))["code"] == "request.invalid"
    region.crash("e1")
    await region.engine("e2")
    await region.done("dead.retry", dead="dl1", reason="a new version")
    await region.until(lambda fleet: fleet.dead[DeadId("dl1")].attempt == 1)
    still = await region.until(lambda fleet: fleet.dead[DeadId("dl1")].state == "dead")
    await region.done("dead.drop", dead="dl1", reason="sent by mistake")
    gone = await region.ask("dead.drop", dead="dl1", reason="again")

    assert [letter.ask for letter in still.fleet.dead.values()] == ["p-1", "p-2"]
    assert isinstance(gone, Problem)
    assert gone.code is Code.DEAD_NOT_FOUND
    assert list((await region.region()).fleet.dead) == ["dl2"]


async def test_a_command_that_met_a_mistake_is_retried_when_the_mistake_is_mended(
    region: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended = DECIDE[PauseOperation]

    def stumble(*_: object) -> None:
        message = "planted"
        raise RecursionError(message)

    monkeypatch.setitem(DECIDE, PauseOperation, stumble)  # type: ignore[misc]
    await region.engine("e1")
    await publish(region.bus, region.subjects, PAUSE, "p-1")
    poison = await outcome(region, "p-1")
    await region.until(lambda fleet: DeadId("dl1") in fleet.dead)
    monkeypatch.setitem(DECIDE, PauseOperation, mended)  # type: ignore[misc]
    await region.done("dead.retry", dead="dl1", reason="mended")
    await region.until(lambda fleet: not fleet.dead)

    assert poison["code"] == "internal"
    assert (await outcome(region, "p-1"))["code"] == "operation.not_found"
    codes = [commit.ask for commit in await asked_by(region, ACME)]
    assert codes == ["p-1", "dl1 1"]


async def test_a_command_that_kills_every_engine_is_given_up_and_the_queue_goes_on(
    region: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the engine where nothing can answer it: after it was decided, before it is stored."""
    decide = Region.decide
    deaths: list[str] = []

    class PoisonError(Exception):
        pass

    def deadly(this: Region, ask: Ask, now: Instant) -> Commit[Fact]:
        if ask.id == AskId("fatal"):
            deaths.append(ask.id)
            message = "planted"
            raise PoisonError(message)
        return decide(this, ask, now)

    monkeypatch.setattr(Region, "decide", deadly)
    assert not issubclass(PoisonError, BUGS)
    await publish(region.bus, region.subjects, PAUSE, "fatal")
    await publish(region.bus, region.subjects, PAUSE, "behind")
    for number in range(TRIES_MAX + 1):
        await region.engine(f"e{number}")
        async with asyncio.timeout(PATIENCE_S):
            while len(deaths) <= number < TRIES_MAX:
                await asyncio.sleep(0.05)
    told, behind = await outcome(region, "fatal"), await outcome(region, "behind")
    region.forget_dead_engines()

    assert len(deaths) == TRIES_MAX
    assert (told["code"], behind["code"]) == ("internal", "operation.not_found")
    found = await region.until(lambda fleet: bool(fleet.dead))
    assert [letter.ask for letter in found.fleet.dead.values()] == ["fatal"]
