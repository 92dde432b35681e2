"""`restow audit why-not`: why a container is not on another host, and what would put it there."""

from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from domain.chronicle import evolve
from domain.container import ContainerPlaced
from domain.fleet import Fleet
from domain.messages import Code, ContainerId, HostId, Refusal
from domain.placement import Wish, wish_for
from domain.problems import problem
from domain.whynot import Activate, Avoid, Change, Resize, WhyNot, without
from domain.whynot import why_not as asked
from handlers.journal.reader import Head
from projections.bisecting import Turn, bisect
from projections.conditions import condition
from projections.moments import NOW, Moment
from projections.reaching import Reaching
from restow.cli.exits import ProblemError
from restow.cli.flags import SHOWN, Showing
from restow.cli.history import BEGINNING, THERE, There, journal, when
from restow.cli.naming import Container, Host
from restow.cli.output import out, show_item, text

SINCE = Parameter(
    allow_leading_hyphen=True,
    help="As if it were placed at this moment (now, 1234, -2m); without it, when it was placed.",
)


class Case(msgspec.Struct, frozen=True):
    """A placement to be looked at: the fleet right before it, what was wished, and where."""

    fleet: Fleet
    wish: Wish
    position: int
    anew: bool


async def why_not(
    container: Container,
    host: Host,
    /,
    *,
    as_of: Annotated[str | None, SINCE] = None,
    at: There = THERE,
    how: Showing = SHOWN,
) -> None:
    """Say why a container is not on HOST, and the smallest change that would have put it there.

    Changes: the host takes containers, has other room, does not carry a container; another host
    takes none. With the changes that are told, placement chooses HOST: that was tried.
    """
    async with journal(at) as reaching:
        case = (
            await placed(reaching, ContainerId(container))
            if as_of is None
            else await anew(reaching, ContainerId(container), as_of)
        )
    if HostId(host) not in case.fleet.hosts:
        detail = f"there was no host {host} at position {case.position:,}"
        raise ProblemError(problem(Refusal(Code.HOST_NOT_FOUND, detail)))
    told = asked(case.fleet, case.wish, HostId(host))
    if how.output in {"table", "wide"}:
        for line in lines(container, case, told):
            out(line)
        return
    item = {"container": container, "position": case.position, **msgspec.to_builtins(told)}
    show_item(item, how.look, lambda one: text(one["winner"]))


async def placed(reaching: Reaching[Head], container: ContainerId) -> Case:
    """Return the fleet as it was right before a container was placed, within its commit."""
    there = condition(f"container.{container} exists")
    found = await bisect(reaching, there, BEGINNING, NOW, every=False)
    if not isinstance(found, Turn):
        found = await bisect(reaching, there, BEGINNING, NOW, every=True)
    if not isinstance(found, Turn):
        raise ProblemError(problem(unknown(container)))
    before = Moment(position=found.position - 1)
    reads = (await reaching.reach(before)).reads
    fleet = reads.fleet
    async for _, commit in reaching.commits(reads.position, NOW):
        for event in commit.events:
            fact = event.fact
            if isinstance(fact, ContainerPlaced) and fact.container == container:
                layer = fleet.layers[fact.environment, fact.layer]
                return Case(fleet, wish_for(fleet, layer), found.position, anew=False)
            evolve(fleet, fact, commit.at)
    raise ProblemError(problem(unknown(container)))


async def anew(reaching: Reaching[Head], container: ContainerId, as_of: str) -> Case:
    """Return the fleet as it was without a container, as if it were placed only then."""
    reads = (await reaching.reach(when(as_of))).reads
    one = reads.fleet.containers.get(container)
    if one is None:
        detail = f"there was no container {container} at position {reads.position:,}"
        raise ProblemError(problem(Refusal(Code.CONTAINER_NOT_FOUND, detail)))
    layer = reads.fleet.layers[one.environment, one.layer]
    wish = msgspec.structs.replace(wish_for(reads.fleet, layer, one), apart=())
    without(reads.fleet, one)
    return Case(reads.fleet, wish, reads.position, anew=True)


def unknown(container: str) -> Refusal:
    return Refusal(Code.CONTAINER_NOT_FOUND, f"there never was a container {container}")


def lines(container: str, case: Case, told: WhyNot) -> list[str]:
    """Return the answer in words."""
    when_ = "placed anew" if case.anew else "placed"
    won = f"{told.winner} won" if told.winner else "no host fitted"
    head = f"{container}, {when_} at position {case.position:,}: {won}{scored(told)}"
    if told.winner == told.host:
        return [head]
    against = told.objections or (f"{told.host} fitted, others were better",)
    body = [head, *(f"  against it  {one}" for one in against)]
    if told.never:
        return [*body, f"  never       {told.never}"]
    title = "the smallest change" if told.smallest else "enough would be"
    return [*body, f"  {title}:", *(f"    {sentence(one)}" for one in told.changes)]


def scored(told: WhyNot) -> str:
    """Return how good the winner was, and those behind it."""
    if told.why is None:
        return ""
    others = ", ".join(f"{name} {list(score)}" for name, score in told.why.losers)
    behind = f"; behind it {others}" if others else ""
    return f" by {told.why.policy} {list(told.why.score)}{behind}"


def sentence(change: Change) -> str:
    """Return a change in words."""
    match change:
        case Activate(host):
            return f"{host} takes containers (uncordon it, or let it come back)"
        case Avoid(host):
            return f"{host} takes none (cordon it)"
        case Resize(host, cloudlets, disk):
            return f"{host} has {' and '.join(room(cloudlets, disk))}"
        case _:
            return f"{change.container} is not on {change.host}"


def room(cloudlets: int, disk: int) -> list[str]:
    """Return how much more or less room that is."""
    parts: list[tuple[Any, str]] = [(cloudlets, "cloudlets"), (disk, "GiB of disk")]
    return [f"{abs(n)} {unit} {'more' if n > 0 else 'less'}" for n, unit in parts if n] or [
        "the same room"
    ]
