"""`restow growth`: containers that grow beyond what their host has free, and who makes room."""

from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.output import age, field
from restow.cli.talk import ask, show_all, show_one

growth = noun("growth", "Containers that outgrow their host: others make room, or they move.")

COLUMNS = (
    field("GROWTH", "id"),
    field("CONTAINER", "container"),
    field("HOST", "host"),
    field("RESERVED", "reserved"),
    field("LIMIT", "limit"),
    field("STATE", "state"),
    field("WAY", "way"),
    field("MOVED", "moved"),
    age("AGE", "requested_at"),
    field("MIGRATIONS", "migrations", wide=True),
    field("DETAIL", "detail", wide=True),
)


@growth.command(name="list", help_epilogue="For example: restow growth list -o wide")
async def list_growths(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List growths, newest first."""
    await show_all("growth.list", {}, COLUMNS, at=at, how=how)


@growth.command(help_epilogue="For example: restow growth show gr2")
async def show(name: str, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one growth with the moves of its plan."""
    await show_one("growth.show", {"growth": name}, "id", at=at, how=how)


@growth.command(help_epilogue="For example: restow growth cancel gr2")
async def cancel(name: str, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Give a growth up: no further move begins, the container keeps its limits."""
    await ask("growth.cancel", {"growth": name}, at=at, how=how)
