"""`restow operation` (`op`): operations on layers, watched, paused, resumed, cancelled."""

from typing import Annotated

from cyclopts import Parameter

from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.output import Column, Item, age, field, text
from restow.cli.spelling import milliseconds
from restow.cli.talk import ask, show_all, show_one, talk
from restow.cli.watch import watch as watch_it

PATIENCE = Parameter(
    name="--timeout", help="Longest wait; the work goes on after it (exit code 6)."
)

operation = noun("operation", "Operations on layers, and how far they are.")


def _layer(item: Item) -> str:
    return f"{item.get('environment')}/{item.get('layer')}"


def _state(item: Item) -> str:
    return text(item.get("outcome") or item.get("state"))


COLUMNS = (
    field("OPERATION", "id"),
    field("KIND", "kind"),
    Column("LAYER", _layer),
    Column("STATE", _state),
    age("AGE", "requested_at"),
    field("DETAIL", "detail"),
    age("FINISHED", "finished_at", wide=True),
    field("PAUSED", "paused", wide=True),
)


@operation.command(name="list", help_epilogue="For example: restow op list -o wide")
async def list_operations(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List operations, those under way first."""
    await show_all("operation.list", {}, COLUMNS, at=at, how=how)


@operation.command(help_epilogue="For example: restow op show op3")
async def show(name: str, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one operation with its steps."""
    await show_one("operation.show", {"operation": name}, "id", at=at, how=how)


@operation.command(help_epilogue="For example: restow op watch op3 --timeout 5m")
async def watch(
    name: str,
    /,
    *,
    patience: Annotated[str, PATIENCE] = "10m",
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """Watch an operation or a migration until it is over; Ctrl-C leaves it running."""
    async with talk(at) as region:
        await watch_it(region, name, how.min_position, milliseconds(patience))


@operation.command(help_epilogue="For example: restow op pause op3")
async def pause(name: str, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Begin no further step until resumed; the step under way is finished."""
    await ask("operation.pause", {"operation": name}, at=at, how=how)


@operation.command(help_epilogue="For example: restow op resume op3")
async def resume(name: str, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Go on after a pause, or answer an operation that asks between steps."""
    await ask("operation.resume", {"operation": name}, at=at, how=how)


@operation.command(help_epilogue="For example: restow op cancel op3")
async def cancel(name: str, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Begin no further step; what was done stays done."""
    await ask("operation.cancel", {"operation": name}, at=at, how=how)
