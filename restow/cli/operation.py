"""`restow operation` (`op`): operations on layers, watched, paused, resumed, cancelled."""

from typing import Annotated

import msgspec
from cyclopts import Parameter

from domain.certificate import Checked
from domain.messages import Refusal
from domain.problems import Exit, problem
from handlers.journal.reader import JournalDamagedError
from restow.certificates import certificate_of
from restow.cli.exits import EndedError, ProblemError
from restow.cli.flags import (
    HERE,
    LATEST,
    PLAINLY,
    SHOWN,
    SIMPLY,
    Asking,
    At,
    Latest,
    Reading,
    Showing,
    noun,
)
from restow.cli.naming import Operation
from restow.cli.output import Column, Item, age, field, out, say, show_item, show_table, state
from restow.cli.spelling import milliseconds
from restow.cli.talk import ask, reachable, region_of, show_all, show_one, talk
from restow.cli.watch import watch as watch_it

PATIENCE = Parameter(
    name="--timeout", help="Longest wait; the work goes on after it (exit code 6)."
)

operation = noun("operation", "Operations on layers, and how far they are.")


def _layer(item: Item) -> str:
    return f"{item.get('environment')}/{item.get('layer')}"


COLUMNS = (
    field("OPERATION", "id"),
    field("KIND", "kind"),
    Column("LAYER", _layer),
    state(),
    age("AGE", "requested_at"),
    field("DETAIL", "detail"),
    age("FINISHED", "finished_at", wide=True),
    field("PAUSED", "paused", wide=True),
)
TIMELINE = (
    field("POSITION", "position"),
    field("OPERABLE", "operable"),
    field("OF", "containers"),
)


@operation.command(name="list", help_epilogue="For example: restow op list -o wide")
async def list_operations(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List operations, those under way first."""
    await show_all("operation.list", {}, COLUMNS, at=at, how=how)


@operation.command(help_epilogue="For example: restow op show op3")
async def show(name: Operation, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one operation with its steps."""
    await show_one("operation.show", {"operation": name}, "id", at=at, how=how)


@operation.command(help_epilogue="For example: restow op watch op3 --timeout 5m")
async def watch(
    name: Operation,
    /,
    *,
    patience: Annotated[str, PATIENCE] = "10m",
    at: At = HERE,
    how: Latest = LATEST,
) -> None:
    """Watch an operation or a migration until it is over; Ctrl-C leaves it running."""
    async with talk(at) as region:
        await watch_it(region, name, how.min_position, milliseconds(patience))


@operation.command(help_epilogue="For example: restow op pause op3")
async def pause(name: Operation, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Begin no further step until resumed; the step under way is finished."""
    await ask("operation.pause", {"operation": name}, at=at, how=how)


@operation.command(help_epilogue="For example: restow op resume op3")
async def resume(name: Operation, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Go on after a pause, or answer an operation that asks between steps."""
    await ask("operation.resume", {"operation": name}, at=at, how=how)


@operation.command(help_epilogue="For example: restow op cancel op3")
async def cancel(name: Operation, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Begin no further step; what was done stays done."""
    await ask("operation.cancel", {"operation": name}, at=at, how=how)


@operation.command(help_epilogue="For example: restow op certificate op5 -o json")
async def certificate(name: Operation, /, *, at: At = HERE, how: Showing = SHOWN) -> None:
    """Certify how many containers were operable while an operation or a migration went on.

    Made from the journal alone, and checked by another method. Ends with 9 where it does not hold.
    """
    region = region_of(at)
    with reachable(region):
        try:
            found = await certificate_of(region.address, region.prefix, name)
        except JournalDamagedError as error:
            say(f"error: {error}")
            raise EndedError(Exit.DIFFERENT) from error
    if isinstance(found, Refusal):
        raise ProblemError(problem(found))
    if how.output in {"table", "wide"}:
        _tell(found, how)
    else:
        show_item(msgspec.to_builtins(found), how.look, lambda _: name)
    for sentence in found.wrong:
        say(f"error: {sentence}")
    if not found.holds:
        raise EndedError(Exit.DIFFERENT)


def _tell(found: Checked, how: Showing) -> None:
    """Print a certificate for people; the whole timeline only with `-o wide`."""
    one = found.certificate
    what = f"{one.kind} of {one.container or 'containers'} in {one.environment}/{one.layer}"
    out(f"{one.subject}: {what}, {one.outcome}, positions {one.requested:,} to {one.finished:,}")
    if how.output == "wide":
        show_table(msgspec.to_builtins(one.timeline), TIMELINE, headers=how.look.headers)
    at_least = next(point for point in one.timeline if point.position == one.minimum_at)
    out(f"operable at least {one.minimum} of {at_least.containers}, at {one.minimum_at:,}")
    for zero in one.zeros:
        why = "; ".join(zero.excuses) or "NOT EXCUSED"
        out(f"none operable from {zero.since:,} to {zero.until:,}: {why}")
    out(f"stands on frames at {', '.join(f'{m.position:,} {m.hash[:16]}' for m in one.frames)}")
    out(f"digest {one.digest}")
    out("holds, and its witness agrees" if found.holds else "DOES NOT HOLD")
