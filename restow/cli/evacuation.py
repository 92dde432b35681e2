"""`restow evacuation`: hosts that are emptied, and ways back: watched, paused, resumed, stopped."""

from typing import Annotated

from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.naming import Evacuation
from restow.cli.operation import PATIENCE
from restow.cli.output import age, field, state
from restow.cli.spelling import milliseconds
from restow.cli.talk import ask, show_all, show_one, talk
from restow.cli.watch import watch as watch_it

evacuation = noun("evacuation", "Hosts that are emptied, and how far that is.")


COLUMNS = (
    field("EVACUATION", "id"),
    field("KIND", "kind"),
    field("HOST", "host"),
    state(),
    field("TO-COME", "todo"),
    field("MOVING", "moving"),
    field("MOVED", "moved"),
    field("FAILED", "failed"),
    age("AGE", "requested_at"),
    field("FEASIBLE", "feasible", wide=True),
    field("MISSING", "missing_cloudlets", wide=True),
    field("LIVE", "live", wide=True),
    field("WAITS-FOR", "why", wide=True),
)


@evacuation.command(name="list", help_epilogue="For example: restow evacuation list -o wide")
async def list_evacuations(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List evacuations and ways back, newest first."""
    await show_all("evacuation.list", {}, COLUMNS, at=at, how=how)


@evacuation.command(help_epilogue="For example: restow evacuation show ev1")
async def show(name: Evacuation, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one evacuation with the outcome of each container."""
    await show_one("evacuation.show", {"evacuation": name}, "id", at=at, how=how)


@evacuation.command(help_epilogue="For example: restow evacuation watch ev1 --timeout 30m")
async def watch(
    name: Evacuation,
    /,
    *,
    patience: Annotated[str, PATIENCE] = "10m",
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """Watch an evacuation until it is over; Ctrl-C leaves it running."""
    async with talk(at) as region:
        await watch_it(region, name, how.min_position, milliseconds(patience))


@evacuation.command(help_epilogue="For example: restow evacuation pause ev1")
async def pause(name: Evacuation, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Begin no further move until resumed; those under way are finished."""
    await ask("evacuation.pause", {"evacuation": name}, at=at, how=how)


@evacuation.command(help_epilogue="For example: restow evacuation resume ev1")
async def resume(name: Evacuation, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Go on after a pause."""
    await ask("evacuation.resume", {"evacuation": name}, at=at, how=how)


@evacuation.command(help_epilogue="For example: restow evacuation stop ev1")
async def stop(name: Evacuation, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Begin no further move; what has moved stays where it is, the host stays cordoned."""
    await ask("evacuation.stop", {"evacuation": name}, at=at, how=how)
