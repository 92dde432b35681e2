"""An act: one container uses more until its host is full, and others make room for it, live."""

from typing import Any

from restow.demo.scene import DemoError, Scene, Story

CACHES_A_HOST = 2
CACHE = 20
"""Cloudlets of each cache; two of them leave less on a host than is wanted."""
LOAD = 30
"""Cloudlets that the hungry container uses."""
WANTED = 38
"""Cloudlets that it is to hold then: a quarter more than it uses."""
LIMIT = 40
NEWS = "news"


async def grow_until_full(scene: Scene) -> Story:
    """Fill the hosts, let one container use more than its host has, and return its growth."""
    hosts = len((await scene.read("host.list", {"limit": 1_000}))["items"])
    count = CACHES_A_HOST * hosts
    scene.tell(f"fill the hosts: create the environment {NEWS} with {count} caches")
    cache = {"name": "cache", "count": count, "reserved": CACHE, "limit": CACHE}
    body: dict[str, Any] = {"environment": NEWS, "layers": [cache], "reason": "the news"}
    await scene.ended(await scene.ask("environment.create", body, NEWS))
    for one in await scene.containers("cache", NEWS):
        await scene.sampled(one["id"], one["host"])
    scene.tell(f"add a container that uses {LOAD} cloudlets, of which none are reserved")
    hungry = {"name": "render", "count": 1, "limit": LIMIT, "variables": {"LOAD": str(LOAD)}}
    body = {"environment": NEWS, "layer": hungry, "reason": "the news have pictures"}
    await scene.ended(await scene.ask("layer.add", body, f"{NEWS}/render"))
    return await outgrown(scene, (await scene.containers("render", NEWS))[0])


async def outgrown(scene: Scene, one: Story) -> Story:
    """Watch the growth that its use begins, until the container holds what it is to hold."""
    found: list[Story] = []

    async def begun() -> bool:
        found[:] = (await scene.read("growth.list", {"container": one["id"]}))["items"]
        return bool(found)

    await scene.until(begun, f"{one['id']} outgrows its host")
    held = (await scene.read("container.show", {"container": one["id"]}))["allocated"]
    scene.tell(f"{one['id']} holds {held} cloudlets, and {one['host']} is full: others make room")
    growth = await scene.until_over(found[0]["id"], 0)
    for move in growth["moves"]:
        await scene.sampled(move["container"], move["target"])

    async def grown() -> bool:
        return bool(
            (await scene.read("container.show", {"container": one["id"]}))["applied"] == WANTED
        )

    await scene.until(grown, f"{one['id']} has {WANTED} cloudlets")
    if growth["way"] != "room":
        message = f"{growth['id']}: nobody made room, {growth['container']} moved itself"
        raise DemoError(message)
    scene.tell(f"{one['id']} has {WANTED} cloudlets, and was never restarted")
    return growth
