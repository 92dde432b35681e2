"""How a plan is shown: what follows and when, what moves, hosts before and after, DNS, the time."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from domain.contracts.replies import Reply
from domain.plan import Forecast, TimePart
from restow.cli.output import Column, Item, field, out, show_table

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000

SOURCES: Mapping[str, str] = {"setting": "as asked", "rule": "rule", "measured": "measured"}
"""How it is told where a duration comes from; a default is one that nobody measured."""


def lasts(duration_ms: int) -> str:
    """Return a duration as exactly as it is worth: `200ms`, `6.9s`, `1m20s`, `2h05m`."""
    if duration_ms < SECOND_MS:
        return f"{duration_ms}ms"
    if duration_ms < MINUTE_MS:
        return f"{duration_ms / SECOND_MS:.1f}".removesuffix(".0") + "s"
    if duration_ms < HOUR_MS:
        return f"{duration_ms // MINUTE_MS}m{duration_ms % MINUTE_MS // SECOND_MS:02}s"
    return f"{duration_ms // HOUR_MS}h{duration_ms % HOUR_MS // MINUTE_MS:02}m"


def duration(header: str, key: str) -> Column:
    """Return a column that shows a duration."""

    def shown(item: Item) -> str:
        found = item.get(key)
        return lasts(found) if isinstance(found, int) else "for good"

    return Column(header, shown)


def orders(item: Item) -> str:
    """Return the orders of a step, one after the other."""
    return ", ".join(item.get("orders", ())) or "-"


STEPS = (
    duration("AT", "at_ms"),
    duration("TAKES", "for_ms"),
    field("CONTAINER", "container"),
    field("STEP", "kind"),
    field("ENDS", "outcome"),
    field("OF", "saga"),
    Column("ORDERS", orders),
)
MOVES = (
    duration("AT", "at_ms"),
    field("CONTAINER", "container"),
    field("MOVE", "kind"),
    field("FROM", "source"),
    field("TO", "target"),
    duration("FROZEN", "freeze_ms"),
)
HOSTS = (
    field("HOST", "host"),
    field("CLOUDLETS", "cloudlets"),
    field("BEFORE", "before"),
    field("AFTER", "after"),
    Column("CONTAINERS", lambda one: f"{one['containers_before']} -> {one['containers_after']}"),
    Column("DISK GIB", lambda one: f"{one['disk_before']} -> {one['disk_after']}"),
)
WINDOWS = (
    duration("AT", "at_ms"),
    duration("OUT OF DNS", "for_ms"),
    field("CONTAINER", "container"),
    field("RECORDS", "names"),
)


def show_plan(reply: Reply) -> None:
    """Print what a dry run foresees."""
    forecast = reply.forecast
    if forecast is UNSET or reply.plan_name is UNSET:
        return
    out(f"plan {reply.plan_name}")
    out(f"  takes {estimate(forecast)}")
    for ending in forecast.endings:
        detail = f": {ending.detail}" if ending.detail else ""
        out(f"  {ending.saga} would end {ending.outcome}{detail}")
    show_part(forecast.steps, STEPS)
    show_part(moves(forecast), MOVES)
    show_part(forecast.hosts, HOSTS)
    show_part(forecast.dns, WINDOWS)


def moves(forecast: Forecast) -> Sequence[Item]:
    """Return the moves with what is left out where it is nothing."""
    return [{"freeze_ms": 0, **msgspec.to_builtins(move)} for move in forecast.moves]


def show_part(lines: Sequence[object], columns: Sequence[Column]) -> None:
    """Print one table of a plan, if it has lines."""
    if lines:
        out()
        show_table([msgspec.to_builtins(line) for line in lines], columns, headers=True)


def estimate(forecast: Forecast) -> str:
    """Return how long it would take, and what that is made of, the longest first."""
    if not forecast.duration_ms:
        return "no time" if forecast.whole else "nobody knows how long"
    longest = sorted(forecast.time, key=lambda part: -part.ms)
    made = ", ".join(share(part) for part in longest)
    about = "about" if forecast.whole else "at least"
    return f"{about} {lasts(forecast.duration_ms)}: {made}"


def share(part: TimePart) -> str:
    """Return one part of the time: `delay 59.6s (2, as asked)`."""
    return f"{part.what} {lasts(part.ms)} ({part.times}, {SOURCES.get(part.source, 'default')})"


def as_typed(reply: Reply) -> str:
    """Return the command line that does what was planned, or is refused."""
    body = dict(reply.apply) if reply.apply is not UNSET else {}
    name = body.pop("type", "")
    return f"restow command send {name} '{msgspec.json.encode(body).decode()}'"
