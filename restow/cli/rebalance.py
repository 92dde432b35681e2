"""`restow rebalance`: a few live moves that make the fleet more even, shown before they begin."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.host import LIVE, Moves, names
from restow.cli.naming import Rebalance
from restow.cli.operation import PATIENCE
from restow.cli.output import Column, Item, age, field, state
from restow.cli.spelling import Body, given, milliseconds
from restow.cli.talk import ask, show_all, show_one, talk
from restow.cli.watch import watch as watch_it

rebalance = noun("rebalance", "A few live moves that make the fleet more even.")


@Parameter(name="*", group="What is to be even")
@dataclass(frozen=True, kw_only=True)
class Aim:
    """How much may move, for what, and where; what is not given is the whole region."""

    moves: int | None = None
    """Moves at most, 1 to 100 [default: 10]."""
    goal: Literal["spread", "load", "both"] | None = None
    """Containers of a layer over hosts and zones, cloudlets over hosts, or both [default: both]."""
    environment: Annotated[str | None, Parameter(name=("--environment", "-e"))] = None
    """Only containers of this environment move."""
    hosts: str | None = None
    """Only between these hosts, comma-separated."""
    zone: str | None = None
    """Only between the hosts of this zone."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(
            moves=self.moves,
            goal=self.goal,
            environment=self.environment,
            hosts=names(self.hosts),
            zone=self.zone,
        )


ALL = Aim()


def _goes(name: str) -> Column:
    """Return a column that shows a number before, and after or as it is to be."""

    def shown(item: Item) -> str:
        return f"{item.get(f'{name}_before')} -> {item.get(f'{name}_{_end(item)}')}"

    return Column(name.upper(), shown)


def _end(item: Item) -> str:
    return "after" if item.get("finished_at") else "planned"


def _load(item: Item) -> str:
    """Return the loads of the least and the most loaded host, before and after or planned."""
    before = f"{item.get('least_before')}..{item.get('most_before')}%"
    return f"{before} -> {item.get(f'least_{_end(item)}')}..{item.get(f'most_{_end(item)}')}%"


COLUMNS = (
    field("REBALANCE", "id"),
    state(),
    field("GOAL", "goal"),
    field("TO-COME", "todo"),
    field("MOVING", "moving"),
    field("MOVED", "moved"),
    field("FAILED", "failed"),
    field("SKIPPED", "skipped"),
    _goes("uneven"),
    _goes("skew"),
    Column("LOAD", _load),
    age("AGE", "requested_at"),
    field("CLOUDLETS", "cloudlets", wide=True),
    field("BUDGET", "budget", wide=True),
    field("ENVIRONMENT", "environment", wide=True),
    field("ZONE", "zone", wide=True),
    field("HOSTS", "hosts", wide=True),
    field("BEST", "best", wide=True),
    field("WAITS-FOR", "why", wide=True),
    field("DETAIL", "detail", wide=True),
)


@rebalance.command(
    help_epilogue="For example:\n\nrestow rebalance preview\n\n"
    "restow rebalance preview --moves 20 --goal spread --zone north"
)
async def preview(
    *, aim: Aim = ALL, moves: Moves = LIVE, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Show what would move, and how even it would be before and after; nothing is begun."""
    body: Body = {**aim.body, **moves.body, "dry_run": True}
    await ask("rebalance.start", body, at=at, how=how)


@rebalance.command(
    help_epilogue="For example:\n\nrestow rebalance start --wait\n\n"
    'restow rebalance start --moves 20 --environment shop --reason "two new hosts"'
)
async def start(
    *, aim: Aim = ALL, moves: Moves = LIVE, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Make the region more even, by a few live moves each of which evens by itself.

    What has become pointless or impossible by its turn is skipped, never forced.
    """
    await ask("rebalance.start", {**aim.body, **moves.body}, at=at, how=how)


@rebalance.command(name="list", help_epilogue="For example: restow rebalance list -o wide")
async def list_rebalances(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List rebalances, newest first; how even it was, and became or is to be."""
    await show_all("rebalance.list", {}, COLUMNS, at=at, how=how)


@rebalance.command(help_epilogue="For example: restow rebalance show rb1")
async def show(name: Rebalance, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one rebalance with every move of its plan, and what became of it."""
    await show_one("rebalance.show", {"rebalance": name}, "id", at=at, how=how)


@rebalance.command(help_epilogue="For example: restow rebalance watch rb1 --timeout 30m")
async def watch(
    name: Rebalance,
    /,
    *,
    patience: Annotated[str, PATIENCE] = "10m",
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """Watch a rebalance until it is over; Ctrl-C leaves it running."""
    async with talk(at) as region:
        await watch_it(region, name, how.min_position, milliseconds(patience))


@rebalance.command(help_epilogue="For example: restow rebalance pause rb1")
async def pause(name: Rebalance, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Begin no further move until resumed; those under way are finished."""
    await ask("rebalance.pause", {"rebalance": name}, at=at, how=how)


@rebalance.command(help_epilogue="For example: restow rebalance resume rb1")
async def resume(name: Rebalance, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Go on after a pause."""
    await ask("rebalance.resume", {"rebalance": name}, at=at, how=how)


@rebalance.command(help_epilogue="For example: restow rebalance stop rb1")
async def stop(name: Rebalance, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Begin no further move; what has moved stays where it is."""
    await ask("rebalance.stop", {"rebalance": name}, at=at, how=how)
