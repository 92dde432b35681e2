"""The story of the lab: one connection through moves, a restart under load, an evacuation."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import msgspec

from restow.cli.output import tell
from restow.demo.scene import DemoError, Scene, Story
from restow.demo.watching import Watching
from restow.lab import caller, load
from restow.lab.image import NAME, PORT
from restow.lab.servers import HTTP_PORT, ZONE
from restow.lab.site import Lab
from restow.up import Site

ENVIRONMENT = "shop"
RATE = 300
"""Requests a second, while the layer is restarted and a host is emptied."""
LEAD_S = 0.5
ANSWER_S = 60.0
LAYERS = (
    {"name": "counter", "image": NAME, "ports": [PORT], "limit": 2, "stateful": True},
    {"name": "app", "count": 3, "image": NAME, "ports": [PORT], "limit": 2},
)


class Stretch(msgspec.Struct, frozen=True):
    """What the caller heard: answers so far, the last one, the longest gap since it was asked."""

    answers: int
    word: str
    count: int
    gap_ms: int


class Line:
    """The connection that is held all the time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def stretch(self, *, ask: bool = True) -> Stretch:
        """Return how it went since this was asked before. Raises `DemoError` where it broke."""
        talk, ear = self._process.stdin, self._process.stdout
        if talk is not None and ask:
            talk.write(b"\n")
        async with asyncio.timeout(ANSWER_S):
            said = b"" if ear is None else await ear.readline()
        try:
            return _heard(said.decode().split())
        except ValueError as error:
            message = f"the connection did not go on: {said.decode() or 'the client died'}"
            raise DemoError(message) from error


def _heard(words: Sequence[str]) -> Stretch:
    """Read what the caller says. Raises `ValueError` where it says something else."""
    answers, word, count, gap_ms = words
    return Stretch(int(answers), word, int(count), int(gap_ms))


class Load(msgspec.Struct, frozen=True):
    """How requests went."""

    act: str
    done: int
    failed: int
    what: str

    @property
    def why(self) -> str:
        return f": {self.what}" if self.failed else ""


class Told(msgspec.Struct):
    """What was seen, for the verdicts."""

    first: Stretch
    last: Stretch
    moves: list[Story]
    gaps_ms: list[int]
    loads: list[Load]


async def tell_story(lab: Lab, site: Site, *, moves: int) -> bool:
    """Play it; return whether all of it was so. Raises `DemoError` where it cannot go on."""
    scene = Scene(site, Watching())
    scene.tell(f"create the environment {ENVIRONMENT}: a counter, and 3 containers of app")
    body = {"environment": ENVIRONMENT, "layers": LAYERS, "reason": "the lab opens"}
    await scene.ended(await scene.ask("environment.create", body, ENVIRONMENT))
    async with _calling(*lab.stateful) as line:
        first = await line.stretch(ask=False)
        told = Told(first, first, [], [], [])
        scene.tell(f"a client is connected, through HAProxy, to process {first.word}")
        for number in range(moves):
            await _move(scene, line, told, lab.names[(number + 1) % len(lab.names)])
        async with _loaded(lab, told, "restart of app, one by one"):
            await _restart(scene)
        async with _loaded(lab, told, "evacuation of a host"):
            await _empty(scene, line, told)
        told.last = await line.stretch()
    return _show(told)


async def _move(scene: Scene, line: Line, told: Told, target: str) -> None:
    """Move the counter, live, and say what the client noticed."""
    (counter,) = await scene.containers("counter")
    if counter["host"] == target:
        return
    await line.stretch()
    body = {"container": counter["id"], "target": target, "reason": "the lab"}
    reply = await scene.ask("container.migrate", body, counter["id"])
    await _over(scene, line, told, await scene.until_over(reply.operation_id, reply.position))


async def _over(scene: Scene, line: Line, told: Told, story: Story) -> None:
    stretch = await line.stretch()
    told.moves.append(story)
    told.gaps_ms.append(stretch.gap_ms)
    scene.tell(
        f"the client's longest wait was {stretch.gap_ms} ms, for {story['freeze_ms']} ms frozen;"
        f" same process, {stretch.count:,} answers"
    )


async def _restart(scene: Scene) -> None:
    body = {"environment": ENVIRONMENT, "layer": "app", "delay_s": 0, "reason": "the lab"}
    scene.tell(f"restart the layer app, one by one, at {RATE} requests/s")
    await scene.ended(await scene.ask("layer.restart", body, f"{ENVIRONMENT}/app"))


async def _empty(scene: Scene, line: Line, told: Told) -> None:
    """Evacuate the host that the counter is on."""
    (counter,) = await scene.containers("counter")
    host = counter["host"]
    there = [one for one in await scene.containers("app") if one["host"] == host]
    scene.tell(f"evacuate {host}, with the counter and {len(there)} of app, at {RATE} requests/s")
    await line.stretch()
    body = {"host": host, "reason": "the lab"}
    reply = await scene.ask("host.evacuate", body, host)
    await scene.until_over(reply.operation_id, reply.position)
    moved = await scene.read("migration.list", {"container": counter["id"]})
    await _over(scene, line, told, moved["items"][0])


@asynccontextmanager
async def _calling(address: str, port: int) -> AsyncGenerator[Line]:
    """Hold one connection during the block."""
    process = await _python(caller.__file__, address, str(port))
    try:
        yield Line(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def _loaded(lab: Lab, told: Told, act: str) -> AsyncGenerator[None]:
    """Ask the layer app at a fixed rate during the block."""
    name = f"app.{ENVIRONMENT}.{ZONE}"
    process = await _python(load.__file__, lab.fabric.edge, str(HTTP_PORT), name, str(RATE))
    try:
        await asyncio.sleep(LEAD_S)
        yield
        await asyncio.sleep(LEAD_S)
        said, _ = await process.communicate(b"")
        done, failed, what = said.decode().strip().split(maxsplit=2)
        told.loads.append(Load(act, int(done), int(failed), what))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _python(*words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-S", *words, stdin=pipe, stdout=pipe
    )


def _show(told: Told) -> bool:
    """Print what was seen; return whether it was as promised."""
    tell("")
    tell("  move  from  to   total s  frozen ms  client's longest wait ms")
    for story, gap_ms in zip(told.moves, told.gaps_ms, strict=True):
        way = f"{story['id']:<5} {story['source']:<5} {story['target']:<4}"
        tell(f"  {way} {story['total_ms'] / 1_000:7.2f}  {story['freeze_ms']:9,}  {gap_ms:24,}")
    tell("")
    verdicts = _verdicts(told)
    for line, good in verdicts:
        tell(f"  {'ok ' if good else 'NOT'}  {line}")
    return all(good for _, good in verdicts)


def _verdicts(told: Told) -> list[tuple[str, bool]]:
    first, last = told.first, told.last
    whole = last.count - first.count == last.answers - first.answers
    return [
        (
            f"one connection to one process, {last.word}, through {len(told.moves)} live moves",
            first.word == last.word and bool(told.moves),
        ),
        (f"it counted on: {last.answers:,} answers, none lost, none twice", whole),
        *(
            (f"{one.act}: {one.done:,} requests, {one.failed} failed{one.why}", not one.failed)
            for one in told.loads
        ),
    ]
