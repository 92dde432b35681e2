"""`restow what-if`: recorded history with hosts chosen by another policy, side by side."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from domain.whatif import Tally, WhatIf
from restow.cli.exits import UsageError
from restow.cli.flags import SHOWN, Showing
from restow.cli.history import ALL_TIME, BEGINNING, THERE, Between, There, journal, noted, when
from restow.cli.othertrigger import UsageFile, under
from restow.cli.output import Column, Item, Page, out, show_item, show_table
from restow.cli.trigger import AS_USUAL, When

Policy = Literal["spread", "pack", "virtuozzo-loadmark"]
CHOICES_TOLD = 1_000
CHOICES_SHOWN = 10

SIDES = (
    Column("", lambda item: item["what"]),
    Column("AS-RECORDED", lambda item: item["recorded"]),
    Column("WHAT-IF", lambda item: item["other"]),
)
CHOICES = (
    Column("POSITION", lambda item: str(item["position"])),
    Column("CONTAINER", lambda item: item["container"]),
    Column("RECORDED", lambda item: item["recorded"]),
    Column("WHAT-IF", lambda item: item["other"] or "no place"),
)


async def what_if(  # noqa: PLR0913 - one question of two kinds
    *,
    policy: Annotated[
        Policy | None, Parameter(help="For every layer; without it, its own.")
    ] = None,
    trigger: Annotated[
        str | None,
        Parameter(help="ENVIRONMENT/LAYER: usage under another rule; what is not given is as set."),
    ] = None,
    rule: When = AS_USUAL,
    usage: UsageFile = None,
    span: Between = ALL_TIME,
    at: There = THERE,
    how: Showing = SHOWN,
) -> None:
    """Let history happen again under another policy, and show both sides.

    Where placement chose a host, it chooses anew; where somebody named one, it stays. All else
    is as recorded. Under the same policy nothing is different. Nothing is asked of any host. With
    --trigger, recorded usage is borne under another trigger of a layer; what is not given of its
    rule is as it is set.
    """
    if trigger is not None:
        if policy is not None or span != ALL_TIME:
            message = "--trigger looks at recorded usage: neither --policy nor --from and --to"
            raise UsageError(message)
        await under(trigger, rule, usage, at=at, how=how)
    else:
        await placed_by(policy, span, at=at, how=how)


async def placed_by(policy: Policy | None, span: Between, *, at: There, how: Showing) -> None:
    """Show recorded history beside the same with hosts chosen by another policy."""
    begin, end = when(span.begin, BEGINNING), when(span.end)
    async with journal(at) as reaching:
        recorded = await reaching.reach(begin)
        noted(recorded, begin)
        other = (await reaching.reach(begin)).reads
        what = WhatIf(recorded.reads.fleet, other.fleet, policy)
        first = position = other.position
        async for position, commit in reaching.commits(first, end):
            what.take(position, commit)
    tallies = what.ended()
    item: Item = {
        "begin": first,
        "end": position,
        "policy": policy or "",
        "recorded": msgspec.to_builtins(tallies[True]),
        "other": msgspec.to_builtins(tallies[False]),
        "different": what.different,
        "choices": [msgspec.to_builtins(one) for one in what.choices[:CHOICES_TOLD]],
    }
    if how.output in {"table", "wide"}:
        show(item, tallies, how)
    else:
        show_item(item, how.look, lambda one: str(one["different"]))


def show(item: Item, tallies: Mapping[bool, Tally], how: Showing) -> None:
    """Print both sides as a table, and what was chosen otherwise."""
    title = f"under {item['policy']}" if item["policy"] else "under the policies as they were"
    out(f"positions {item['begin']:,} to {item['end']:,}, {title}")
    sides = [told(tallies[True]), told(tallies[False])]
    sides[1]["hosts chosen otherwise"] = f"{item['different']:,}"
    lines: list[Item] = [
        {"what": name, "recorded": sides[0].get(name, "-"), "other": said}
        for name, said in sides[1].items()
    ]
    show_table(lines, SIDES, headers=not how.no_headers)
    choices: list[Item] = item["choices"]
    if choices:
        most = len(choices) if how.output == "wide" else CHOICES_SHOWN
        out()
        show_table(Page(choices).items[:most], CHOICES, headers=not how.no_headers)
        more = item["different"] - len(choices[:most])
        if more:
            out(f"and {more:,} more, see -o json")


def told(tally: Tally) -> dict[str, Any]:
    """Return a tally line by line, for people."""
    return {
        "containers placed": f"{tally.placed:,}",
        "refused": f"{tally.refused:,}",
        "moves": f"{tally.moves:,}",
        "fullest host": place(f"{tally.peak_percent} %", tally.peak_host, tally.peak_position),
        "most uneven layer": place(str(tally.skew_most), tally.skew_layer, tally.skew_position),
        "most uneven in the end": str(tally.skew),
        "hosts used in the end": f"{tally.hosts_used:,}",
    }


def place(what: str, whose: str, position: int) -> str:
    return f"{what} {whose} at {position:,}" if whose else what
