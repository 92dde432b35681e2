"""`restow audit`: any aggregate as it was at any version, and the whole journal verified."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from domain.messages import Refusal
from domain.problems import Exit, problem
from restow.check import check
from restow.cli.exits import EndedError, ProblemError, UsageError
from restow.cli.flags import HERE, PLAINLY, At, Reading, noun
from restow.cli.output import Column, Item, Page, age, field, out, say, show_item, show_list, text
from restow.cli.talk import region_of
from restow.logs import quiet
from restow.settings import data_directory
from restow.wiring import AUDIT_FILE, history_in_audit, known_to_audit

audit = noun("audit", "Any state at any version; the whole journal verified.")

HISTORY = (
    field("VERSION", "version"),
    field("POSITION", "position"),
    age("AGE", "at"),
    field("EVENT", "tag"),
    Column("FACT", lambda item: text(item.get("fact"))),
    field("ACTOR", "actor", wide=True),
    field("COMMAND", "command", wide=True),
    field("ASK", "ask", wide=True),
    field("REASON", "reason", wide=True),
)
Data = Annotated[
    Path | None,
    Parameter(help="Data directory of the read side; else RESTOW_DATA, ./.restow."),
]


@audit.command(
    help_epilogue="For example:\n\nrestow audit show container.node17\n\n"
    "restow audit show environment.shop --version 2"
)
async def show(
    stream: str,
    /,
    *,
    version: Annotated[int | None, Parameter(help="Without it, the newest.")] = None,
    exact: Annotated[bool, Parameter(help="Fold all streams, not this one alone.")] = False,
    data: Data = None,
    how: Reading = PLAINLY,
) -> None:
    """Show an aggregate as it was after VERSION events of its stream, as the audit has it."""
    path = audit_file(data)
    try:
        known = await asyncio.to_thread(known_to_audit, path, stream, version, exact=exact)
    except FileNotFoundError as error:
        raise UsageError(str(error)) from error
    if isinstance(known, Refusal):
        raise ProblemError(problem(known))
    show_item(msgspec.to_builtins(known), how.look, lambda item: str(item["id"]))


@audit.command(help_epilogue="For example: restow audit history container.node17 -o wide")
async def history(stream: str, /, *, data: Data = None, how: Reading = PLAINLY) -> None:
    """List the events of one stream, with who asked for them and why."""
    try:
        lines = await asyncio.to_thread(history_in_audit, audit_file(data), stream)
    except FileNotFoundError as error:
        raise UsageError(str(error)) from error
    items: list[Item] = [msgspec.to_builtins(line) for line in lines]
    show_list(Page(items), HISTORY, how.look, lambda item: str(item["version"]))


def audit_file(data: Path | None) -> Path:
    """Return the file that the read side feeds."""
    return (data or data_directory()) / "reader" / AUDIT_FILE


@audit.command(help_epilogue="For example: restow audit verify -o json")
async def verify(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Replay the whole journal: hash chain, versions, answers, invariants after every commit.

    Nothing but the journal is believed. Ends with 9 where something is not as it must be.
    """
    quiet()
    region = region_of(at)
    verdict = await check(region.address, region.prefix)
    if how.output in {"json", "jsonl"}:
        show_item(msgspec.to_builtins(verdict), how.look, lambda _: region.prefix)
    else:
        out(
            f"replayed {verdict.frames:,} frames of {verdict.epochs:,} epochs,"
            f" {verdict.position:,} events"
        )
        out(f"hash chain ends with {verdict.hash[:16]}")
        out(f"{verdict.asks:,} asks, each answered once, {verdict.refused:,} of them refused")
        out(f"{verdict.invariants} invariants, {verdict.checks:,} checks after every commit")
    if not verdict.good:
        for fault in verdict.faults:
            say(f"error: at position {fault.position:,}: {fault.what}")
        raise EndedError(Exit.DIFFERENT)
    if how.output == "table":
        out("all is as it must be")
