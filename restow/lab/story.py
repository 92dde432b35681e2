"""The story of the lab: one connection through moves, a restart under load, an evacuation."""

import msgspec

from restow.cli.output import tell
from restow.demo.scene import Scene, Story
from restow.demo.watching import Watching
from restow.lab.clients import RATE, Line, Load, Stretch, asking, calling
from restow.lab.image import NAME, PORT
from restow.lab.servers import ZONE
from restow.lab.site import Lab
from restow.up import Site

ENVIRONMENT = "shop"
APP = f"app.{ENVIRONMENT}.{ZONE}"
LAYERS = (
    {"name": "counter", "image": NAME, "ports": [PORT], "limit": 2, "stateful": True},
    {"name": "app", "count": 3, "image": NAME, "ports": [PORT], "limit": 2},
)


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
    async with calling(*lab.stateful) as line:
        first = await line.stretch(ask=False)
        told = Told(first, first, [], [], [])
        scene.tell(f"a client is connected, through HAProxy, to process {first.word}")
        for number in range(moves):
            await _move(scene, line, told, lab.names[(number + 1) % len(lab.names)])
        async with asking(lab, APP, told.loads, "restart of app, one by one"):
            await _restart(scene)
        async with asking(lab, APP, told.loads, "evacuation of a host"):
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
