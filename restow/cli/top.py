"""`restow top`: the region at a glance, drawn again every second."""

import asyncio
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from restow.cli.exits import UsageError
from restow.cli.flags import HERE, SHOWN, At, Showing
from restow.cli.output import Column, Item, as_line, field, out, table_lines
from restow.cli.redraw import CLEAR, patiently
from restow.cli.spelling import seconds
from restow.cli.talk import good, read_all, talk
from restow.talk import Conversation

EVERY_MIN_S, EVERY_MAX_S = 1, 300
"""How often it may be drawn again; the bounds of `--every`, in seconds."""
BAR = 20
"""Characters of a bar."""
STORIES_MAX = 8
"""Operations, and likewise migrations, that are shown."""
ROWS_WITHOUT_HOSTS = 6
"""Lines of the screen that are not about hosts, operations and migrations."""
RUNNING: Mapping[str, Sequence[str]] = {
    "operation": ("running", "asking", "delaying", "waiting", "queued"),
    "migration": ("moving", "calling_off", "waiting"),
}
"""The states in which something is under way, most of it first."""

HOSTS = (
    field("HOST", "id"),
    field("ZONE", "zone"),
    field("STATE", "state"),
    Column("CLOUDLETS", lambda item: f"{item['used']}/{item['cloudlets']}"),
    Column("FULL", lambda item: f"{bar(share(item))} {share(item):4.0%}"),
    field("CONTAINERS", "containers"),
    Column("MOVES", lambda item: moves(item)),  # noqa: PLW0108 - it is defined below
)
OPERATIONS = (
    field("OPERATION", "id"),
    field("KIND", "kind"),
    Column("LAYER", lambda item: f"{item['environment']}/{item['layer']}"),
    field("STATE", "state"),
    Column("DONE", lambda item: f"{item['done']} of {item['done'] + item['todo']}"),
    field("DETAIL", "detail"),
)
MIGRATIONS = (
    field("MIGRATION", "id"),
    field("CONTAINER", "container"),
    Column("WAY", lambda item: f"{item['source']} -> {item['target'] or '?'}"),
    field("STATE", "state"),
)


class Sight(msgspec.Struct, frozen=True):
    """What is seen at one moment."""

    status: Item
    hosts: Sequence[Item]
    operations: Sequence[Item]
    migrations: Sequence[Item]


async def top(
    *,
    every: Annotated[str, Parameter(help="How often it is drawn again, 1 to 300 s.")] = "1s",
    times: Annotated[int | None, Parameter(help="So often; without it, until Ctrl-C.")] = None,
    at: At = HERE,
    how: Showing = SHOWN,
) -> None:
    """Show the region at a glance: how far, how fast, the fullest hosts, what is under way.

    On a terminal it is drawn anew; elsewhere, and with -o jsonl, each look follows the last.
    """
    pause_s = seconds(every)
    if not EVERY_MIN_S <= pause_s <= EVERY_MAX_S:
        message = f"--every {every}: from {EVERY_MIN_S} to {EVERY_MAX_S} s"
        raise UsageError(message)
    before: Sight | None = None
    async with talk(at) as region:
        while times is None or times > 0:
            seen = await look(region)
            show(seen, before, how)
            before, times = seen, None if times is None else times - 1
            if times != 0:
                await asyncio.sleep(pause_s)


async def look(region: Conversation) -> Sight:
    """Return what is to be seen now. Raises `ProblemError`."""
    status = await patiently(lambda: region.read("status", {}))
    hosts = good(await read_all(region, "host.list", {})).items
    stories: dict[str, list[Item]] = {}
    for noun, states in RUNNING.items():
        found: list[Item] = []
        for state in states:
            body = {"state": state, "limit": STORIES_MAX}
            found += good(await region.read(f"{noun}.list", body))["items"]
        stories[noun] = found[:STORIES_MAX]
    fullest = sorted(hosts, key=lambda host: (-share(host), str(host["id"])))
    return Sight(status, fullest, stories["operation"], stories["migration"])


def show(seen: Sight, before: Sight | None, how: Showing) -> None:
    """Draw what is seen."""
    if how.output in {"json", "jsonl"}:
        out(as_line(msgspec.structs.asdict(seen)))
    elif how.output == "name":
        out(str(seen.status["position"]))
    else:
        on_screen = sys.stdout.isatty()
        rows = shutil.get_terminal_size().lines if on_screen else 0
        if on_screen:
            out(CLEAR)
        for line in screen(seen, before, rows):
            out(line)
    sys.stdout.flush()


def screen(seen: Sight, before: Sight | None, rows: int) -> list[str]:
    """Return the lines of a screen with so many rows; 0: of one without an end."""
    stories = [
        *table(seen.operations, OPERATIONS),
        *table(seen.migrations, MIGRATIONS),
    ]
    most = max(1, rows - len(stories) - ROWS_WITHOUT_HOSTS) if rows else len(seen.hosts)
    more = len(seen.hosts) - most
    hosts = table(seen.hosts[:most], HOSTS)
    hidden = [f"and {more:,} hosts that are less full"] if more > 0 else []
    return [*head(seen.status, before), *hosts, *hidden, *stories]


def table(items: Sequence[Item], columns: Sequence[Column]) -> list[str]:
    """Return a table with a line before it; none where there is nothing to show."""
    return ["", *table_lines(items, columns, headers=True)] if items else []


def head(status: Item, before: Sight | None) -> list[str]:
    """Return what is said of the whole region."""
    counts: Mapping[str, Any] = status["counts"]
    rate = ""
    if before is not None and status["at"] > before.status["at"]:
        passed_s = (status["at"] - before.status["at"]) / 1_000
        rate = f"  {(status['position'] - before.status['position']) / passed_s:,.0f} events/s"
    lost = f", {counts['hosts_lost']:,} lost" if counts.get("hosts_lost") else ""
    containers = f"{counts['operable']:,} of {counts['containers']:,} containers operable"
    running = (f"{counts[f'{noun}s_running']:,} {noun}s" for noun in RUNNING)
    return [
        f"position {status['position']:,}{rate}  epoch {status['epoch']}",
        "  ".join((f"{counts['hosts']:,} hosts{lost}", containers, *running)),
    ]


def share(host: Item) -> float:
    """Return how full a host is, 0 to 1 and beyond after a recorded force."""
    return host["used"] / host["cloudlets"] if host["cloudlets"] else 0.0


def bar(part: float) -> str:
    """Return a bar that is so full."""
    filled = round(min(1.0, part) * BAR)
    return "#" * filled + "." * (BAR - filled)


def moves(host: Item) -> str:
    """Return how many containers are on their way from a host and to it."""
    parts = [f"{host[name]} {name}" for name in ("leaving", "arriving") if host[name]]
    return ", ".join(parts) or "-"
