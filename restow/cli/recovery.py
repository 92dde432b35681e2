"""`restow recovery`: what lost hosts carried, and how far its restart elsewhere is."""

from typing import Annotated

from restow.cli.flags import HERE, PLAINLY, At, Reading, noun
from restow.cli.naming import Recovery
from restow.cli.operation import PATIENCE
from restow.cli.output import age, field, state
from restow.cli.spelling import milliseconds
from restow.cli.talk import show_all, show_one, talk
from restow.cli.watch import watch as watch_it

recovery = noun("recovery", "What lost hosts carried, restarted elsewhere.")


COLUMNS = (
    field("RECOVERY", "id"),
    field("HOST", "host"),
    state(),
    field("TO-COME", "todo"),
    field("STARTING", "starting"),
    field("RESTARTED", "restarted"),
    field("LEFT", "left"),
    age("AGE", "requested_at"),
    field("WAITS-FOR", "why", wide=True),
    field("DETAIL", "detail", wide=True),
)


@recovery.command(name="list", help_epilogue="For example: restow recovery list -o wide")
async def list_recoveries(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List recoveries, newest first; what is left does not serve, and needs somebody."""
    await show_all("recovery.list", {}, COLUMNS, at=at, how=how)


@recovery.command(help_epilogue="For example: restow recovery show rc1")
async def show(name: Recovery, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one recovery with what became of each container."""
    await show_one("recovery.show", {"recovery": name}, "id", at=at, how=how)


@recovery.command(help_epilogue="For example: restow recovery watch rc1 --timeout 5m")
async def watch(
    name: Recovery,
    /,
    *,
    patience: Annotated[str, PATIENCE] = "10m",
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """Watch a recovery until it is over; Ctrl-C leaves it running."""
    async with talk(at) as region:
        await watch_it(region, name, how.min_position, milliseconds(patience))
