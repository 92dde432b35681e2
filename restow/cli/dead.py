"""`restow dead`: commands of the durable door that could not be carried out, retried or dropped."""

from typing import Annotated

from cyclopts import Parameter

from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.output import age, field
from restow.cli.spelling import given
from restow.cli.talk import ask, show_all, show_one

dead = noun("dead", "Dead letters: commands that could not be carried out.")

COLUMNS = (
    field("LETTER", "id"),
    age("AGE", "at"),
    field("STATE", "state"),
    field("TENANT", "tenant"),
    field("COMMAND", "command"),
    field("CODE", "code"),
    field("TRIED", "attempt"),
    field("DETAIL", "detail"),
    field("ID", "ask", wide=True),
    field("BYTES", "bytes", wide=True),
    field("WHOLE", "whole", wide=True),
    field("ORIGIN", "origin", wide=True),
)


@dead.command(name="list", help_epilogue="For example: restow dead list --tenant acme -o wide")
async def list_dead(
    *,
    tenant: Annotated[str | None, Parameter(help="Only those of this tenant.")] = None,
    command: Annotated[str | None, Parameter(help="Only commands of this name.")] = None,
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """List dead letters, oldest first, each with why it is dead."""
    await show_all("dead.list", given(tenant=tenant, command=command), COLUMNS, at=at, how=how)


@dead.command(help_epilogue="For example: restow dead show dl3")
async def show(letter: str, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one dead letter with what was sent."""
    await show_one("dead.show", {"dead": letter}, "id", at=at, how=how)


@dead.command(help_epilogue='For example: restow dead retry dl3 --reason "fixed in 0.2.1"')
async def retry(letter: str, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Carry a dead letter's command out after all, as its tenant asked for it."""
    await ask("dead.retry", {"dead": letter}, at=at, how=how)


@dead.command(help_epilogue='For example: restow dead drop dl3 --reason "sent by mistake"')
async def drop(letter: str, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Throw a dead letter away; --reason must say why."""
    await ask("dead.drop", {"dead": letter}, at=at, how=how)
