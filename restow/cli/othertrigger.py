"""`restow what-if`: recorded usage under another trigger, beside the one that is set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from domain.contracts import decode_command
from domain.messages import COUNT_MAX, Refusal
from domain.problems import problem
from domain.rehearsal import Rehearsal, Sums, WouldFire, rehearse, sums
from domain.trigger import Rule, SetTrigger, rule_of
from restow.cli.exits import ProblemError
from restow.cli.flags import At, Showing
from restow.cli.output import Column, Item, out, say, show_item, show_table
from restow.cli.rehearsing import clock, limits_of, nothing_of, recorded
from restow.cli.spelling import Body, layer_key
from restow.cli.talk import good, read_all, talk
from restow.cli.trigger import When

UsageFile = Annotated[
    Path | None,
    Parameter(help="With --trigger: messages of USE, one a line [default: the last hour of it]."),
]
FIRINGS_SHOWN = 10
WORDS: Mapping[str, str] = {
    "added": "containers added",
    "removed": "containers removed",
    "refused": "refused at its bounds",
    "most": "most containers",
    "highest": "highest usage, %",
    "count": "containers at the end",
}
SIDES = (
    Column("", lambda item: WORDS[item["what"]]),
    Column("AS-SET", lambda item: str(item["recorded"])),
    Column("WHAT-IF", lambda item: str(item["other"])),
)
FIRINGS = (
    Column("AT", lambda item: clock(item["at"])),
    Column("SIDE", lambda item: item["side"]),
    Column("COUNT", lambda item: f"{item['count']} -> {item['wanted']}"),
    Column("USAGE", lambda item: f"{item['usage']}%"),
    Column("WHAT", lambda item: "refused" if item["refused"] else "fires"),
)


async def under(name: str, when: When, file: Path | None, *, at: At, how: Showing) -> None:
    """Show what the trigger that is set would have done, and what another one would have.

    Raises `UsageError`, and `ProblemError` where the rule or the layer is none.
    """
    environment, layer = layer_key(name)
    where: Body = {"environment": environment, "layer": layer}
    async with talk(at) as region:
        triggers = good(await read_all(region, "trigger.list", where)).items
        limits = await limits_of(region, where)
    found = next((one for one in triggers if one["resource"] == when.resource), None)
    rules = (as_set(found, when), changed(found, when, where))
    usage = list(await recorded(limits, file, at))
    sides = [rehearse(rule, limits, usage) for rule in rules]
    if sides[0] is None or sides[1] is None:
        say(nothing_of(name))
        return
    show(name, when, (sides[0], sides[1]), how)


def as_set(found: Item | None, when: When) -> Rule:
    """Return the rule that is set; where there is none, one that never fires."""
    if found is None:
        return Rule(when.resource, max_count=COUNT_MAX)
    return Rule(**{name: found[name] for name in Rule.__struct_fields__ if name in found})


def changed(found: Item | None, when: When, where: Body) -> Rule:
    """Return the rule with what is given of another one. Raises `ProblemError` where it is none."""
    known = as_set(found, when) if found else Rule(when.resource)
    kept = {name: one for name, one in msgspec.structs.asdict(known).items() if one is not None}
    body = {**where, **kept, **when.body}
    ask = decode_command("trigger.set", msgspec.json.encode(body))
    if isinstance(ask, Refusal):
        raise ProblemError(problem(ask))
    return rule_of(msgspec.convert(body, SetTrigger))


def show(name: str, when: When, sides: tuple[Rehearsal, Rehearsal], how: Showing) -> None:
    """Print both sides, and each firing that only one of them has."""
    recorded_, other = sums(sides[0]), sums(sides[1])
    apart = different(sides)
    if how.output not in {"table", "wide"}:
        item: Item = {
            "layer": name,
            "resource": when.resource,
            "first": sides[0].first,
            "last": sides[0].last,
            "recorded": msgspec.to_builtins(recorded_),
            "other": msgspec.to_builtins(other),
            "different": len(apart),
            "firings": apart,
        }
        show_item(item, how.look, lambda one: str(one["different"]))
        return
    span = f"from {clock(sides[0].first)} to {clock(sides[0].last)} UTC"
    out(f"{name} {when.resource} {span}, on recorded usage")
    show_table(rows(recorded_, other), SIDES, headers=not how.no_headers)
    if apart:
        most = len(apart) if how.output == "wide" else FIRINGS_SHOWN
        out()
        show_table(apart[:most], FIRINGS, headers=not how.no_headers)
        if len(apart) > most:
            out(f"and {len(apart) - most:,} more, see -o wide")


def rows(recorded_: Sums, other: Sums) -> Sequence[Item]:
    return [
        {"what": name, "recorded": getattr(recorded_, name), "other": getattr(other, name)}
        for name in WORDS
    ]


def different(sides: tuple[Rehearsal, Rehearsal]) -> list[dict[str, Any]]:
    """Return the firings that only one side has, in the order of time."""
    told: list[dict[str, Any]] = []
    one_way, other_way = ("as set", sides[0], sides[1]), ("what if", sides[1], sides[0])
    for side, mine, others in (one_way, other_way):
        theirs = set(map(key, others.firings))
        told += [
            {"side": side, "refused": False, **msgspec.to_builtins(one)}
            for one in mine.firings
            if key(one) not in theirs
        ]
    return sorted(told, key=lambda one: (one["at"], one["side"]))


def key(one: WouldFire) -> tuple[int, int, int, bool]:
    return one.at, one.count, one.wanted, one.refused
