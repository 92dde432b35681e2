"""`restow trigger`: layers that get more containers by themselves, or fewer, as usage asks."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from restow.cli.flags import HERE, PLAINLY, SHOWN, SIMPLY, Asking, At, Reading, Showing, noun
from restow.cli.naming import LAYER, Trigger
from restow.cli.output import Column, Item, age, ago, field, span, text
from restow.cli.rehearsing import rehearsed
from restow.cli.spelling import Body, given, layer_key, seconds
from restow.cli.talk import ask, show_all, show_one

trigger = noun("trigger", "Triggers: more containers or fewer, as usage asks.")

Name = Annotated[str, LAYER, Parameter(help="ENVIRONMENT/LAYER, as in shop/app.")]


def _layer(item: Item) -> str:
    return f"{item.get('environment')}/{item.get('layer')}"


def _bounds(item: Item) -> str:
    return f"{text(item.get('min_count'))}..{text(item.get('max_count'))}"


def _adds(item: Item) -> str:
    return _step("+", item.get("add"), ">", item.get("add_above"))


def _removes(item: Item) -> str:
    return _step("-", item.get("remove"), "<", item.get("remove_below"))


def _step(sign: str, by: object, side: str, percent: object) -> str:
    return "-" if percent is None else f"{sign}{by} {side}{percent}%"


def _counts(item: Item) -> str:
    return f"{item.get('count')} -> {item.get('wanted')}"


def _usage(item: Item) -> str:
    return f"{item.get('usage')}%"


def _held(item: Item) -> str:
    at, since = item.get("at"), item.get("since")
    return ago(since, at) if isinstance(at, int) and isinstance(since, int) else "-"


def _state(item: Item) -> str:
    """Return the state as it is now: who watches may have to rest for a while."""
    ready, now = item.get("ready_at"), time.time_ns() // 1_000_000
    if item.get("state") == "watching" and isinstance(ready, int) and ready > now:
        return f"rests {span(ready - now)}"
    return text(item.get("state"))


COLUMNS = (
    field("TRIGGER", "id"),
    Column("LAYER", _layer),
    field("RESOURCE", "resource"),
    Column("STATE", _state),
    Column("ADDS", _adds),
    Column("REMOVES", _removes),
    Column("COUNT", _bounds),
    field("WINDOW-S", "window_s"),
    field("COOLDOWN-S", "cooldown_s"),
    field("OPERATION", "operation", wide=True),
    field("TRIES", "tries", wide=True),
    field("FULL", "full", wide=True),
)
HISTORY = (
    age("AGE", "at"),
    field("TRIGGER", "trigger"),
    Column("LAYER", _layer),
    field("RESOURCE", "resource"),
    field("WHY", "why"),
    Column("USAGE", _usage),
    Column("FOR", _held),
    Column("COUNT", _counts),
    field("OUTCOME", "outcome"),
    field("OPERATION", "operation"),
    field("CAME-TO", "came_to"),
    field("DETAIL", "detail"),
    field("POSITION", "position", wide=True),
    field("ACTOR", "actor", wide=True),
    field("ASK", "ask", wide=True),
    field("CODE", "code", wide=True),
)


@Parameter(name="*", group="When it fires, and what it does")
@dataclass(frozen=True, kw_only=True)
class When:
    """The rule of a trigger; what is not given has its default."""

    resource: Literal["cpu", "memory", "network", "disk", "iops"] = "cpu"
    """What is looked at: of all containers of the layer together, in percent of their limits."""
    add_above: int | None = None
    """Add containers when usage was above this percentage for the whole window."""
    remove_below: int | None = None
    """Remove containers when usage was below it, at least 20 points less than --add-above."""
    add: int | None = None
    """How many to add at a time [default: 1]."""
    remove: int | None = None
    """How many to remove at a time [default: 1]."""
    least: Annotated[int | None, Parameter(name="--min")] = None
    """Never fewer containers than this [default: 1]."""
    most: Annotated[int | None, Parameter(name="--max")] = None
    """Never more containers than this [default: 8]."""
    window: str | None = None
    """How long usage must be so, 5s to 60m [default: 1m]."""
    cooldown: str | None = None
    """How long the layer is left alone after a change, up to 24h [default: 5m]."""
    full: int | None = None
    """What 100 % of a container is: KiB/s (network 12800, disk 51200), or IOPS (1000)."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(
            resource=self.resource,
            add_above=self.add_above,
            remove_below=self.remove_below,
            add=self.add,
            remove=self.remove,
            min_count=self.least,
            max_count=self.most,
            window_s=None if self.window is None else seconds(self.window),
            cooldown_s=None if self.cooldown is None else seconds(self.cooldown),
            full=self.full,
        )


AS_USUAL = When()


def _key(name: str) -> Body:
    environment, layer = layer_key(name)
    return {"environment": environment, "layer": layer}


def _which(name: str | None) -> Body:
    """Return what a question says of a trigger, a layer or an environment."""
    if name is None:
        return {}
    if "/" in name:
        return _key(name)
    is_trigger = name.startswith("tr") and name.removeprefix("tr").isdigit()
    return {"trigger" if is_trigger else "environment": name}


@trigger.command(name="list", help_epilogue="For example: restow trigger list shop/app -o wide")
async def list_triggers(
    name: Annotated[str | None, Parameter(help="Of this environment or ENVIRONMENT/LAYER.")] = None,
    /,
    *,
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """List triggers: of a layer, of an environment, or all."""
    layer = name if name is not None and "/" in name else None
    body = _key(layer) if layer else given(environment=name)
    await show_all("trigger.list", body, COLUMNS, at=at, how=how)


@trigger.command(help_epilogue="For example: restow trigger show tr1")
async def show(name: Trigger, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one trigger: its rule, what it does now, and when it may fire again."""
    await show_one("trigger.show", {"trigger": name}, "id", at=at, how=how)


@trigger.command(
    name="set",
    help_epilogue="For example:\n\n"
    "restow trigger set shop/app --add-above 70 --remove-below 30 --min 2 --max 6\n\n"
    "restow trigger set shop/app --resource memory --add-above 80 --window 5m --off",
)
async def set_(
    name: Name,
    /,
    *,
    when: When = AS_USUAL,
    on: Annotated[bool | None, Parameter(negative="--off", help="Switch it on, or off.")] = None,
    at: At = HERE,
    how: Asking = SIMPLY,
) -> None:
    """Set when a layer gets more containers by itself, or fewer: one trigger a resource.

    A new one is switched on, one that was there stays as it is, unless --on or --off is given.
    """
    body: Body = {**_key(name), **when.body, **given(enabled=on)}
    await ask("trigger.set", body, at=at, how=how)


@trigger.command(help_epilogue="For example: restow trigger remove tr1")
async def remove(name: Trigger, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Remove a trigger; what it began goes on."""
    await ask("trigger.remove", {"trigger": name}, at=at, how=how)


@trigger.command(help_epilogue="For example: restow trigger enable tr1")
async def enable(name: Trigger, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Switch a trigger on; it looks at usage from now on."""
    await ask("trigger.enable", {"trigger": name}, at=at, how=how)


@trigger.command(help_epilogue='For example: restow trigger disable tr1 --reason "sale today"')
async def disable(name: Trigger, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Switch a trigger off; what it began goes on."""
    await ask("trigger.disable", {"trigger": name}, at=at, how=how)


@trigger.command(
    help_epilogue="For example:\n\nrestow trigger history shop/app\n\nrestow trigger history tr1 -w"
)
async def history(
    name: Annotated[
        str | None, Parameter(help="Of this trigger, ENVIRONMENT/LAYER or environment.")
    ] = None,
    /,
    *,
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """Show what triggers did, newest first: when, why, from how many to how many, what came."""
    await show_all("trigger.history", _which(name), HISTORY, at=at, how=how)


@trigger.command(
    name="try",
    help_epilogue="For example:\n\n"
    "restow trigger try shop/app --add-above 70 --remove-below 30 --min 2 --max 6\n\n"
    "restow trigger try shop/app --add-above 70 --usage usage.jsonl",
)
async def try_(
    name: Name,
    /,
    *,
    when: When = AS_USUAL,
    usage: Annotated[
        Path | None, Parameter(help="Messages of USE, one a line [default: the last hour of it].")
    ] = None,
    at: At = HERE,
    how: Showing = SHOWN,
) -> None:
    """Say when a trigger would have fired on recorded usage, before it is set; nothing changes.

    What it would have added or removed is supposed to bear usage evenly, and to come at once.
    """
    await rehearsed({**_key(name), **when.body}, usage, at=at, how=how)
