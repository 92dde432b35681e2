"""`restow container` (`ct`): one container, scaled or moved while it runs."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from restow.cli.flags import (
    HERE,
    PLAINLY,
    SAME_SIZE,
    SIMPLY,
    Asking,
    At,
    Reading,
    Size,
    noun,
)
from restow.cli.naming import Container
from restow.cli.output import Column, Item, field, text
from restow.cli.spelling import Body, given, layer_key, seconds
from restow.cli.talk import ask, show_all, show_one

container = noun("container", "Containers: scale and migrate one of them.")


def _layer(item: Item) -> str:
    return f"{item.get('environment')}/{item.get('layer')}"


def _size(item: Item) -> str:
    allocated, limit = text(item.get("allocated")), text(item.get("limit"))
    return f"{text(item.get('reserved'))}/{allocated}/{limit}"


def _doing(item: Item) -> str:
    return text(item.get("claim") or item.get("migration"))


@Parameter(name="*", group="How it moves")
@dataclass(frozen=True, kw_only=True)
class Move:
    """Where a container goes, and how."""

    to: str | None = None
    """The host; without it placement chooses."""
    deadline: str | None = None
    """From granted to running on the target [default: 30s]."""
    no_queue: bool = False
    """Refuse (exit code 5) where it could not begin at once."""
    force: bool = False
    """To a named host in spite of its state, capacity and anti-affinity; wants --reason."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(
            target=self.to,
            deadline_s=None if self.deadline is None else seconds(self.deadline),
            queue=False if self.no_queue else None,
            force=self.force or None,
        )


ANYWHERE = Move()

COLUMNS = (
    field("CONTAINER", "id"),
    Column("LAYER", _layer),
    field("HOST", "host"),
    field("OPERABLE", "operable"),
    Column("RES/ALLOC/LIMIT", _size),
    field("RESTARTS", "restarts"),
    field("MOVES", "moves"),
    Column("CLAIM", _doing),
    field("RUNNING", "running", wide=True),
    field("HEALTHY", "healthy", wide=True),
    field("ROUTED", "routed", wide=True),
    field("IMAGE", "image", wide=True),
    field("APPLICATION", "application", wide=True),
    field("ADDRESS", "address", wide=True),
    field("NAME", "name", wide=True),
)


@Parameter(name="*", group="Where it does not fit")
@dataclass(frozen=True, kw_only=True)
class Fit:
    """What is to happen where the host has no room."""

    force: bool = False
    """Beyond the host's capacity; wants --reason."""
    no_room: bool = False
    """Refuse (exit code 5), and move nothing."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(force=self.force or None, make_room=False if self.no_room else None)


FITTING = Fit()


@container.command(name="list", help_epilogue="For example: restow ct list shop/app -o wide")
async def list_containers(
    name: str | None = None,
    /,
    *,
    host: Annotated[str | None, Parameter(help="Only those on this host.")] = None,
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """List containers: all, or those of an ENVIRONMENT or an ENVIRONMENT/LAYER."""
    environment, layer = layer_key(name) if name and "/" in name else (name, None)
    body = given(environment=environment, layer=layer, host=host)
    await show_all("container.list", body, COLUMNS, at=at, how=how)


@container.command(help_epilogue="For example: restow ct show node17")
async def show(name: Container, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one container, and why it is where it is."""
    await show_one("container.show", {"container": name}, "id", at=at, how=how)


@container.command(help_epilogue="For example: restow ct scale node17 --reserved 2 --limit 16")
async def scale(
    name: Container,
    /,
    *,
    size: Size = SAME_SIZE,
    fit: Fit = FITTING,
    at: At = HERE,
    how: Asking = SIMPLY,
) -> None:
    """Set the cloudlets of one running container, without a restart.

    What does not fit its host waits until others were moved away, or it moves itself.
    """
    body = {
        "container": name,
        **size.body,
        **fit.body,
    }
    await ask("container.scale", body, at=at, how=how)


@container.command(
    help_epilogue="For example:\n\nrestow ct migrate node17\n\nrestow ct migrate node17 --to h05"
)
async def migrate(
    name: Container,
    /,
    *,
    move: Move = ANYWHERE,
    at: At = HERE,
    how: Asking = SIMPLY,
) -> None:
    """Move a running container to another host, live; past its deadline it stays where it was."""
    await ask("container.migrate", {"container": name, **move.body}, at=at, how=how)
