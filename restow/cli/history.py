"""`restow audit as-of`, `diff`, `bisect`: the fleet as it was, what changed, and when."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from domain.answers import OWN
from domain.messages import Code, Refusal
from domain.nouns import TABLES
from domain.problems import Exit, problem
from handlers.journal.reader import Head
from projections.aggregates import everything, find, spelled
from projections.bisecting import NoTurn, Turn
from projections.bisecting import bisect as bisected
from projections.conditions import ConditionError, condition
from projections.differing import Difference, Differing
from projections.moments import NOW, Moment
from projections.reaching import Reached, Reaching
from restow.cli.event import stream_of
from restow.cli.exits import EndedError, ProblemError, UsageError
from restow.cli.flags import READING, SHOWN, THE_BUS, At, Showing
from restow.cli.moments import moment
from restow.cli.output import Column, Item, Page, ago, field, out, say, show_item, show_list, text
from restow.cli.talk import reachable, region_of
from restow.past import machine

MOMENT = Parameter(
    allow_leading_hyphen=True, help="A position (1234), a time (2026-11-21T10:00:00Z), or -2m."
)
UPTO = Parameter(allow_leading_hyphen=True, help="As MOMENT; without it, now.")


@Parameter(name="*", group=THE_BUS)
@dataclass(frozen=True, kw_only=True)
class There(At):
    """Which region is meant, and where the read side of this machine keeps what helps."""

    data: Path | None = None
    """Data directory of the read side, with its keyframes; else RESTOW_DATA, ./.restow."""


@Parameter(name="*", group=READING)
@dataclass(frozen=True, kw_only=True)
class Between:
    """Which part of history is meant."""

    begin: Annotated[str | None, Parameter(name="--from", allow_leading_hyphen=True)] = None
    """A position, a time, or so long ago; without it, the beginning."""
    end: Annotated[str | None, Parameter(name="--to", allow_leading_hyphen=True)] = None
    """Likewise; without it, now."""


THERE = There()
ALL_TIME = Between()
BEGINNING = Moment(position=0)
SHOWN_CHARACTERS = 24
"""Of one value in a table."""
CHANGES_SHOWN = 6
CHANGES_WIDTH, BY_WIDTH = 76, 48
"""Characters of a column; -o wide has all of it beside."""
TELLING = ("kind", "environment", "layer", "container", "host", "state", "cloudlets", "reserved")
"""What is told of an aggregate that was added or removed."""

DIFFERENCES = (
    field("WHAT", "id"),
    field("KIND", "kind"),
    Column("CHANGES", lambda item: cut(changes(item["changes"]), CHANGES_WIDTH)),
    Column("BY", lambda item: cut(by(item["causes"]), BY_WIDTH)),
    Column("ALL-CHANGES", lambda item: changes(item["changes"], None), wide=True),
    Column("ALL-BY", lambda item: by(item["causes"]), wide=True),
    Column("COMMITS", lambda item: text(item["commits"]), wide=True),
    Column("POSITIONS", lambda item: positions(item["causes"]), wide=True),
)


@asynccontextmanager
async def journal(at: There) -> AsyncGenerator[Reaching[Head]]:
    """Return what reaches moments of the region that is meant. Raises as `region_of`."""
    region = region_of(at)
    with reachable(region):
        async with machine(region, at.data) as reaching:
            yield reaching


def when(said: str | None, default: Moment = NOW) -> Moment:
    """Read a moment as it is typed. Raises `UsageError`."""
    return default if said is None else moment(said, time.time_ns() // 1_000_000)


def noted(reached: Reached, wanted: Moment) -> None:
    """Say what whoever asked should know of how a moment was reached."""
    for note in reached.notes:
        say(f"note: {note}")
    position = reached.reads.position
    if wanted.position is not None and position < wanted.position and wanted != NOW:
        say(f"note: as of position {position:,}, the last one before {wanted.position:,}")


async def as_of(
    said: Annotated[str, MOMENT],
    name: str | None = None,
    /,
    *,
    at: There = THERE,
    how: Showing = SHOWN,
) -> None:
    """Show the whole fleet, or one aggregate with all that the region knew of it, as it was."""
    called = called_of(name) if name else ""
    then = when(said)
    async with journal(at) as reaching:
        reached = await reaching.reach(then)
    noted(reached, then)
    reads, as_json = reached.reads, how.output in {"json", "jsonl"}
    item: Item = {"position": reads.position, "at": reads.at}
    if called:
        found = find(reads.fleet, called)
        if found is None:
            raise ProblemError(problem(absent(called, reads.position)))
        state = spelled(found)
        item = {"id": called, **item, "version": reads.versions.get(called, 0)}
        item = {**item, **({"state": state} if as_json else state)}
    elif as_json:
        item = {**item, "fleet": {name: spelled(one) for name, one in everything(reads.fleet)}}
    else:
        item = {**item, **reads.totals()}
    show_item(item, how.look, lambda one: str(one.get("id", one["position"])))


def called_of(name: str) -> str:
    """Return how an aggregate is called: `node7` is `container.node7`. Raises `UsageError`."""
    noun, dot, rest = name.partition(".")
    if dot and noun in TABLES and rest:
        return name
    if "/" in name and not dot:
        return f"layer.{name}"
    return stream_of(name)


def absent(called: str, position: int) -> Refusal:
    """Say that there was no such aggregate."""
    noun = called.partition(".")[0]
    names = {code.value for code in Code}
    code = f"{noun}.not_found"
    detail = f"there was no {called} at position {position:,}; see `restow audit history {called}`"
    return Refusal(Code(code) if code in names else Code.REQUEST_INVALID, detail)


async def diff(
    begin: Annotated[str, MOMENT],
    end: Annotated[str | None, UPTO] = None,
    name: str | None = None,
    /,
    *,
    at: There = THERE,
    how: Showing = SHOWN,
) -> None:
    """Show what changed between two moments, aggregate by aggregate, and who asked for it."""
    called = called_of(name) if name else ""
    first, last = when(begin), when(end)
    async with journal(at) as reaching:
        reached = await reaching.reach(first)
        noted(reached, first)
        position = reached.reads.position
        differing = Differing(reached.reads.fleet)
        async for upto, commit in reaching.commits(position, last):
            differing.take(upto, commit)
            position = upto
    told = [one for one in differing.told() if called in {"", one.id}]
    items: list[Item] = [msgspec.to_builtins(one) for one in told]
    show_list(Page(items, position), DIFFERENCES, how.look, lambda item: str(item["id"]))
    if how.output in {"table", "wide"}:
        say(summary(told, reached.reads.position, position))


def summary(told: Sequence[Difference], begin: int, end: int) -> str:
    """Return how much is different, in a sentence."""
    kinds = [one.kind for one in told]
    counts = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in ("added", "changed", "removed"))
    return f"positions {begin:,} to {end:,}: {counts}"


def changes(all_: Sequence[Item], most: int | None = CHANGES_SHOWN) -> str:
    """Return changes for a table: what is not the same, `old -> new`."""
    texts = [
        f"{one['path']} {short(one['old'])} -> {short(one['new'])}" if one["path"] else whole(one)
        for one in all_[:most]
    ]
    more = len(all_) - len(texts)
    return ", ".join([*texts, *([f"and {more} more"] if more > 0 else [])])


def whole(change: Item) -> str:
    """Return what there is to say of an aggregate that was added or removed."""
    state: Mapping[str, Any] = change["new"] or change["old"]
    told = (f"{name} {short(state[name])}" for name in TELLING if name in state)
    return ", ".join(told)


def short(value: Any) -> str:
    """Return a value so that a table holds it."""
    return cut(text(value), SHOWN_CHARACTERS)


def cut(said: str, most: int) -> str:
    """Return a text, or its beginning."""
    return said if len(said) <= most else f"{said[: most - 1]}…"


def by(causes: Sequence[Item]) -> str:
    """Return who asked for what, each once; what our own processes told comes last."""
    asked = sorted(causes, key=lambda one: str(one["command"]).startswith(OWN))
    told = (f"{one['command']} by {one['actor']}{because(one)}" for one in asked)
    return ", ".join(dict.fromkeys(told))


def because(cause: Item) -> str:
    return f' ("{cause["reason"]}")' if cause.get("reason") else ""


def positions(causes: Sequence[Item]) -> str:
    return ",".join(str(one["position"]) for one in causes)


async def bisect(
    expression: str,
    /,
    *,
    span: Between = ALL_TIME,
    every: Annotated[bool, Parameter(help="Look at every commit: finds the very first.")] = False,
    at: There = THERE,
    how: Showing = SHOWN,
) -> None:
    """Find the event that made a condition true; ends with 9 where none did.

    Halves between keyframes: false at --from and true at --to, it finds where it turned, and if it
    turned more than once, one of the turns.
    """
    try:
        wanted = condition(expression)
        async with journal(at) as reaching:
            first, last = when(span.begin, BEGINNING), when(span.end)
            found = await bisected(reaching, wanted, first, last, every=every)
    except ConditionError as error:
        raise UsageError(str(error)) from error
    if how.output in {"json", "jsonl"}:
        show_item(msgspec.to_builtins(found), how.look, lambda _: "")
    elif how.output == "name":
        out(str(found.position) if isinstance(found, Turn) else "")
    else:
        for line in turn(found) if isinstance(found, Turn) else no_turn(found):
            out(line)
    if isinstance(found, NoTurn):
        raise EndedError(Exit.DIFFERENT)


def turn(found: Turn) -> list[str]:
    """Return where a condition turned true, in words."""
    cause = msgspec.to_builtins(found.cause)
    looks = "every commit was looked at" if found.first else f"it was false at {found.false_at:,}"
    return [
        f"true from position {found.position:,}, {ago(found.at)} ago; {looks}",
        f"  by     {found.event} of {found.stream}: {text(found.data)}",
        f"  from   {cause['command']} by {cause['actor']}{because(cause)}, ask {cause['ask']}",
        *(
            f"  {name}  {text(found.before[name])} -> {text(found.after[name])}"
            for name in found.before
        ),
    ]


def no_turn(found: NoTurn) -> list[str]:
    """Return why no turn was found, in words."""
    now = ", ".join(f"{name} is {text(value)}" for name, value in found.found.items())
    if found.always:
        return [f"true already at position {found.begin:,} ({now}); begin earlier with --from"]
    hint = "" if found.looked_at > 2 else "; it may have been true between: --every looks there"  # noqa: PLR2004 - the two ends
    return [f"not true at position {found.end:,} ({now}){hint}"]
