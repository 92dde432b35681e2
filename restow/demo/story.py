"""The story: a shop is placed, grown, scaled, moved and restarted; an engine dies, then a host."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from domain.agent import Usage
from domain.problems import Exit
from handlers.nats_server import ANY_PORT, ServerStartError
from restow.cli.output import say, tell
from restow.crew import MemberEndedError
from restow.demo.crowd import grow_until_full
from restow.demo.scene import DemoError, Scene
from restow.demo.verdicts import Evidence, Loss, Takeover, judge, show
from restow.demo.watching import Watching
from restow.demo.wave import follow_the_wave, set_a_trigger
from restow.logs import quiet
from restow.stopping import stop_signals
from restow.up import AlreadyUpError, Plan, Site, StartError, running

HOSTS = 12
ZONES = 3
DELAY_S = 1
KILL_AFTER = 2
"""The active engine is killed once so many containers were restarted."""
VICTIM = "h01"
"""The host that is lost; its agent is a process of its own."""
LEASE_S = 5
GROWN = 4
"""Cloudlets that one container grows to."""

LAYERS = (
    {"name": "bl", "role": "bl", "count": 1, "ports": [80]},
    {"name": "app", "role": "cp", "count": 3, "reserved": 2, "limit": 8},
    {
        "name": "sql",
        "role": "sqldb",
        "count": 2,
        "reserved": 4,
        "stateful": True,
        "anti_affinity": "hard",
    },
)
TRY = (
    "restow open",
    "restow status",
    "restow ct list -o wide",
    "restow layer scale shop/app 9",
    "restow layer restart shop/app --delay 2s",
    "restow trigger history",
    "restow event why node3",
    "restow audit verify",
)


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """How the demo is to be played."""

    keep: bool = False
    seed: int = 1
    data: Path | None = None
    speed: float = 2.0


async def play(stage: Play) -> int:
    """Play the demo; return its exit code, 0 only where all that was shown is true."""
    quiet()
    with stop_signals() as stop, _directory(stage) as data:
        playing = asyncio.create_task(_play(stage, data, stop))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done() and not stage.keep:
            tell("stopping")
            playing.cancel()
        await asyncio.wait({playing})
        stopped.cancel()
        return Exit.INTERRUPTED if playing.cancelled() else playing.result()


@contextmanager
def _directory(stage: Play) -> Generator[Path]:
    """Return where everything is kept; what nobody asked to keep is removed at the end."""
    if stage.data is not None:
        yield stage.data
        return
    data = Path(tempfile.mkdtemp(prefix="restow-demo-"))
    try:
        yield data
    finally:
        shutil.rmtree(data)


async def _play(stage: Play, data: Path, stop: asyncio.Event) -> int:
    plan = Plan(
        data=data,
        hosts=HOSTS,
        zones=ZONES,
        port=ANY_PORT,
        http=ANY_PORT,
        seed=stage.seed,
        speed=stage.speed,
        lease=f"{LEASE_S}s",
        alone=(VICTIM,),
    )
    try:
        async with running(plan, tell) as site:
            good = await _tell(site)
            if stage.keep:
                await _stay(site, data, stop)
            return Exit.DONE if good else Exit.FAILED
    except AlreadyUpError as error:
        say(f"error: something is up in {error} already; choose another --data")
        return Exit.CONFLICT
    except (DemoError, StartError, ServerStartError, MemberEndedError) as error:
        say(f"error: {error}")
        return Exit.FAILED


async def _stay(site: Site, data: Path, stop: asyncio.Event) -> None:
    """Leave everything running until told to stop."""
    where = f"--url {site.up.url} --prefix {site.up.prefix}"
    tell(f"\nstays up until Ctrl-C, in {data}; from another terminal, with RESTOW_DATA={data}")
    tell("\n".join(f"  {line}" for line in TRY))
    tell(f"or from anywhere with {where}")
    tell(f"the whole of it on the dashboard: {site.up.http}")
    await stop.wait()
    tell("stopping")


async def _tell(site: Site) -> bool:
    """Play every act and judge what was seen."""
    watching = Watching()
    decoder = msgspec.json.Decoder(Usage)
    subject = site.talk.subjects.usage("*")
    async with site.talk.hearing(subject, lambda said: watching.take(decoder.decode(said))):
        scene = Scene(site, watching)
        await open_the_shop(scene)
        await set_a_trigger(scene)
        await scale_out(scene)
        await grow_one(scene)
        await move_one(scene)
        growth = await grow_until_full(scene)
        takeover = await restart_and_kill(scene)
        await settle(scene)
        loss = await lose_a_host(scene)
        await follow_the_wave(scene)
        evidence = await Evidence.gathered(scene, takeover, loss, growth)
    return show(judge(evidence), evidence)


async def open_the_shop(scene: Scene) -> None:
    """Create the environment, and wait until it serves."""
    scene.tell("create the environment shop: a balancer, 3 app and 2 SQL containers")
    body = {"environment": "shop", "layers": LAYERS, "reason": "the shop opens"}
    await scene.ended(await scene.ask("environment.create", body, "shop"))


async def scale_out(scene: Scene) -> None:
    scene.tell("scale the app layer to 6")
    body = {"environment": "shop", "layer": "app", "count": 6, "reason": "black friday"}
    await scene.ended(await scene.ask("layer.scale", body, "shop/app to 6"))


async def grow_one(scene: Scene) -> None:
    """Give one container more cloudlets, without a restart, and wait until its host did."""
    name = (await scene.containers("app"))[0]["id"]
    scene.tell(f"grow {name} to {GROWN} cloudlets reserved, 16 at most")
    body = {"container": name, "reserved": GROWN, "limit": 16}
    reply = await scene.ask("container.scale", body, f"{name} to {GROWN}..16")
    question = {"container": name, "min_position": reply.position}

    async def grown() -> bool:
        return bool((await scene.read("container.show", question))["applied"] == GROWN)

    await scene.until(grown, f"{name} has {GROWN} cloudlets")
    now = await scene.read("container.show", question)
    scene.tell(f"{name} has {now['applied']} cloudlets, restarted {now['restarts']} times")


async def move_one(scene: Scene) -> None:
    """Move a SQL container, live; its counter must go on."""
    sql = (await scene.containers("sql"))[0]
    await scene.sampled(sql["id"], sql["host"])
    scene.tell(f"migrate {sql['id']}, live, from {sql['host']} to wherever placement likes")
    body = {"container": sql["id"], "reason": "the demo"}
    reply = await scene.ask("container.migrate", body, sql["id"])
    story = await scene.until_over(reply.operation_id, reply.position)
    await scene.sampled(sql["id"], story["target"])


async def restart_and_kill(scene: Scene) -> Takeover:
    """Restart the app layer one by one, and kill the active engine in the middle of it."""
    scene.tell(f"restart the app layer one by one, {DELAY_S} s between")
    body = {"environment": "shop", "layer": "app", "delay_s": DELAY_S, "reason": "new certificate"}
    reply = await scene.ask("layer.restart", body, "shop/app")

    async def in_the_middle() -> bool:
        return bool((await scene.story(reply.operation_id, reply.position))["done"] >= KILL_AFTER)

    await scene.until(in_the_middle, f"{KILL_AFTER} containers are restarted")
    victim = next(engine for engine in await scene.site.talk.engines() if engine.leads)
    killed_at = time.monotonic()
    pid = scene.site.crew.kill(victim.engine)
    scene.tell(f"kill -9 {pid}: engine {victim.engine}, active, in the middle of it")
    again = await scene.site.talk.ask("layer.restart", {**body, "id": reply.command_id})
    took_s = time.monotonic() - killed_at
    heir = next((one for one in await scene.site.talk.engines() if one.leads), victim)
    scene.tell(
        f"engine {heir.engine} leads, epoch {heir.epoch}; commands answered after {took_s:.1f} s"
    )
    await scene.ended(reply)
    return Takeover(victim=victim, heir=heir, took_s=took_s, first=reply, again=again)


async def lose_a_host(scene: Scene) -> Loss:
    """Kill the agent of a host: what it carried is restarted elsewhere. Then it comes back."""
    there = await scene.read("container.list", {"host": VICTIM})
    carried = [one["id"] for one in there["items"]]
    killed_at = time.monotonic()
    pid = await scene.site.crew.lose(f"agent-{VICTIM}")
    scene.tell(
        f"kill -9 {pid}: the agent of host {VICTIM}, which carries {', '.join(carried)};"
        f" its lease ends within {LEASE_S} s"
    )

    async def found() -> bool:
        return bool((await scene.read("recovery.list", {"host": VICTIM}))["items"])

    await scene.until(found, f"host {VICTIM} is lost")
    lost_s = time.monotonic() - killed_at
    recovery = (await scene.read("recovery.list", {"host": VICTIM}))["items"][0]
    story = await scene.until_over(recovery["id"], 0)
    took_s = time.monotonic() - killed_at
    await scene.site.crew.back(f"agent-{VICTIM}")

    async def returned() -> bool:
        return bool((await scene.read("host.show", {"host": VICTIM}))["state"] == "active")

    await scene.until(returned, f"host {VICTIM} is back")
    for one in story["containers"]:
        await scene.sampled(one["container"], one["target"])
    scene.tell(f"host {VICTIM} is back under a new term, clean; what was there runs elsewhere")
    return Loss(host=VICTIM, carried=carried, lost_s=lost_s, took_s=took_s, recovery=story)


async def settle(scene: Scene) -> None:
    """Wait until the agents, too, have said of every container that it was restarted."""
    app = await scene.containers("app")

    async def said() -> bool:
        return all(scene.watching.restarts(one["id"]) >= one["restarts"] for one in app)

    await scene.until(said, "the agents say that every container was restarted")
