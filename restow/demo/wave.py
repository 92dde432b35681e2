"""The acts of the wave: a layer is used more, then less, and its trigger adds and removes.

All its containers rise and fall together, by the clock; the wave begins low, is high while other
acts go on, and low again at the end.
"""

import time

from restow.demo.scene import Scene, Story

PERIOD_S = 36
BEGINS_AT = 0.8
"""Where in its period the wave is when the act begins: low, and falling."""
ADD_ABOVE, REMOVE_BELOW = 60, 40
LEAST, MOST = 2, 3


def load(now_s: float) -> str:
    """Return the variable of containers that use 5 to 95 % of 4 cloudlets, from low on."""
    ahead = (BEGINS_AT * PERIOD_S - now_s) % PERIOD_S
    return f"0.2..3.8/{PERIOD_S}s@{ahead:.0f}s"


async def set_a_trigger(scene: Scene) -> None:
    """Create an environment that is used in waves, and a trigger that is to follow them."""
    scene.tell(
        f"create the environment feed, used in waves of {PERIOD_S} s; a trigger adds a container"
        f" above {ADD_ABOVE} %, and removes one below {REMOVE_BELOW} %"
    )
    variables = {"LOAD": load(time.time())}
    web = {"name": "web", "count": LEAST, "reserved": 1, "limit": 4, "variables": variables}
    body = {"environment": "feed", "layers": [web], "reason": "news come in waves"}
    await scene.ended(await scene.ask("environment.create", body, "feed"))
    rule = {
        "environment": "feed",
        "layer": "web",
        "resource": "memory",
        "add_above": ADD_ABOVE,
        "remove_below": REMOVE_BELOW,
        "min_count": LEAST,
        "max_count": MOST,
        "window_s": 5,
        "cooldown_s": 5,
    }
    await scene.ask("trigger.set", rule, "feed/web")


async def follow_the_wave(scene: Scene) -> None:
    """Wait until the trigger has added and removed; switch it off, and tell what it did."""
    scene.tell("the wave falls: the trigger removes what it added, if it has not yet")

    async def followed() -> bool:
        ended = [line for line in await firings(scene) if line["outcome"] == "done"]
        return any(added(line) for line in ended) and any(not added(line) for line in ended)

    await scene.until(followed, "the trigger of feed/web has added and removed")
    (trigger,) = (await scene.read("trigger.list", {}))["items"]
    await scene.ask("trigger.disable", {"trigger": trigger["id"]}, trigger["id"])

    async def over() -> bool:
        return all(line["outcome"] for line in await firings(scene))

    await scene.until(over, "what the trigger began is over")
    for line in await firings(scene):
        scene.tell(f"{line['trigger']} at {line['usage']} %: {line['count']} -> {line['wanted']}")


async def firings(scene: Scene) -> list[Story]:
    """Return what triggers did, oldest first; refusals are left out."""
    page = await scene.read("trigger.history", {})
    return [line for line in page["items"][::-1] if line["operation"]]


def added(line: Story) -> bool:
    return bool(line["wanted"] > line["count"])
