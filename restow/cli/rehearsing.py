"""`restow trigger try`: what a rule would have done with usage that was recorded."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from domain.agent import Usage
from domain.contracts import decode_command
from domain.messages import ContainerId, Refusal
from domain.problems import problem
from domain.rehearsal import ROUND_MS, Rehearsal, rehearse
from domain.trigger import SetTrigger, rule_of
from handlers.journal.pull import ConsumerLostError
from restow.cli.exits import ProblemError, UsageError
from restow.cli.flags import At, Showing
from restow.cli.output import Column, Item, as_json, field, out, say, show_table
from restow.cli.spelling import Body
from restow.cli.talk import CONNECT_S, Reader, good, reachable, read_all, region_of, talk
from restow.recorded import UnreadableError, from_file, lately


def clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1_000, UTC):%H:%M:%S}"


def _at(item: Item) -> str:
    return clock(item["at"])


def _counts(item: Item) -> str:
    return f"{item['count']} -> {item['wanted']}"


def _what(item: Item) -> str:
    return "refused: beyond its bounds" if item.get("refused") else "fires"


COLUMNS = (
    Column("AT", _at),
    Column("WHAT", _what),
    Column("COUNT", _counts),
    Column("USAGE", lambda item: f"{item['usage']}%"),
    Column("SINCE", lambda item: clock(item["since"])),
    field("WHY", "why"),
)


async def rehearsed(body: Body, file: Path | None, *, at: At, how: Showing) -> None:
    """Try a rule and show what it would have done.

    Raises `ProblemError` where the rule or the layer is none, `UsageError` where the file is none.
    """
    ask = decode_command("trigger.set", msgspec.json.encode(body))
    if isinstance(ask, Refusal):
        raise ProblemError(problem(ask))
    rule = rule_of(msgspec.convert(body, SetTrigger))
    where: Body = {"environment": body["environment"], "layer": body["layer"]}
    name = f"{body['environment']}/{body['layer']}"
    async with talk(at) as region:
        limits = await limits_of(region, where)
    found = rehearse(rule, limits, await recorded(limits, file, at))
    if found is None:
        say(nothing_of(name))
        return
    show(found, name, how)


async def limits_of(region: Reader, where: Body) -> dict[ContainerId, int]:
    """Return the containers of a layer, and how far each may grow. Raises `ProblemError`."""
    page = good(await read_all(region, "container.list", where))
    return {ContainerId(item["id"]): int(item["limit"]) for item in page.items}


def nothing_of(name: str) -> str:
    return f"no usage of {name} was recorded, or less than {ROUND_MS // 1_000} s of it"


async def recorded(limits: Mapping[ContainerId, int], file: Path | None, at: At) -> Iterable[Usage]:
    """Return the usage in a file, or what the bus has kept. Raises `UsageError`."""
    if file is not None:
        return await asyncio.to_thread(_from_file, file, limits)
    region = region_of(at)
    with reachable(region):
        try:
            return await lately(region, limits, within_s=CONNECT_S)
        except ConsumerLostError as error:
            message = f"the recorded usage could not be read to its end: {error}"
            raise UsageError(message) from error


def _from_file(file: Path, limits: Mapping[ContainerId, int]) -> list[Usage]:
    try:
        return list(from_file(file, limits))
    except (OSError, UnreadableError) as error:
        raise UsageError(str(error)) from error


def show(found: Rehearsal, name: str, how: Showing) -> None:
    """Print what would have happened, in the format that is wanted."""
    if how.output in {"json", "jsonl"}:
        out(as_json(found) if how.output == "json" else msgspec.json.encode(found).decode())
        return
    out(
        f"{name} from {clock(found.first)} to {clock(found.last)} UTC: usage {found.lowest} % to"
        f" {found.highest} %, looked at {found.looks:,} times"
    )
    fired = [one for one in found.firings if not one.refused]
    refused = len(found.firings) - len(fired)
    beyond = f", {refused} refused at its bounds" if refused else ""
    out(f"would have fired {len(fired)} times{beyond}; {found.count} containers at the end")
    items = [msgspec.to_builtins(one) for one in found.firings]
    if items:
        show_table(items, COLUMNS, headers=not how.no_headers)
