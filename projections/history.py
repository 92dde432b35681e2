"""Lines that are never changed once written: what happened, and why a container was put somewhere.

And what only a store shows: orders that agents still owe an answer to, the watch over the hosts.
"""

from msgspec import Raw

from domain.container import ContainerPlaced, Placing
from domain.facts import tag
from domain.loss import Vigil
from domain.messages import Instant
from domain.migration import MigrationGranted
from domain.orders import Order
from domain.recovery import ContainerReplaced
from projections.cloudevents import data, story
from projections.feed import Placed
from projections.lines import Line


class AuditLine(Line, frozen=True, gc=False):
    """An event with who asked for it and why. `story` is the operation or the like it is part of.

    `command` is what was asked, `ask` its identity (with a suffix where a saga asked), `cause`
    what led to that; `data` are the event's fields.
    """

    position: int
    at: Instant
    stream: str
    version: int
    type: str
    ask: str
    command: str
    actor: str
    tenant: str
    cause: str
    story: str
    reason: str
    data: Raw


class PlacementLine(Line, frozen=True, gc=False):
    """Why a container was put on a host: when it was created, moved, or its host was lost.

    `story` is the migration or the recovery that moved it.

    `why` has the policy, how many hosts there were and fitted, the objections, and the losers.
    """

    position: int
    at: Instant
    container: str
    host: str
    story: str
    policy: str
    hosts: int
    feasible: int
    ask: str
    actor: str
    reason: str
    why: Placing


class OrderLine(Line, frozen=True, gc=False):
    """An order that was not answered yet. `work` is what is to be done, `to` who is to do it."""

    id: str
    to: str
    container: str
    work: str
    saga: str
    expires: Instant


class WatchLine(Line, frozen=True, gc=False):
    """The watch over the hosts: the `jurors` whose majority declares one lost, and the alarm.

    `naming` are jurors that were named and not agreed on yet. `silent` are the hosts that fell
    silent together since `since`, so that nothing is placed elsewhere; `why` says more.
    """

    id: str
    jurors: tuple[str, ...]
    naming: tuple[str, ...]
    silent: tuple[str, ...]
    since: Instant
    alarm: bool
    why: str
    version: int


def watch_line(name: str, vigil: Vigil, version: int) -> WatchLine:
    storm = vigil.storm
    return WatchLine(
        id=name,
        jurors=vigil.seats.hosts,
        naming=vigil.seats.next,
        silent=storm.silent if storm else (),
        since=storm.since if storm else Instant(0),
        alarm=storm is not None,
        why=storm.why if storm else "",
        version=version,
    )


def audit_line(at: Placed) -> AuditLine:
    commit, event = at.commit, at.event
    fact = event.fact
    return AuditLine(
        position=at.position,
        at=commit.at,
        stream=event.stream,
        version=event.version,
        type=tag(fact),
        ask=commit.ask + event.asked,
        command=commit.command,
        actor=commit.actor,
        tenant=commit.tenant,
        cause=commit.cause,
        story=story(fact),
        reason=commit.reason,
        data=data(fact),
    )


PLACING = {ContainerPlaced, MigrationGranted, ContainerReplaced}


def placement_line(at: Placed) -> PlacementLine | None:
    """Return why a container was put somewhere, if that is what happened."""
    if type(at.event.fact) not in PLACING:
        return None
    match at.event.fact:
        case ContainerPlaced(container=container, host=host, why=Placing() as why):
            pass
        case MigrationGranted(container=container, target=host, why=Placing() as why):
            pass
        case ContainerReplaced(container=container, target=host, why=Placing() as why):
            pass
        case _:
            return None
    return PlacementLine(
        position=at.position,
        at=at.commit.at,
        container=container,
        host=host,
        story=story(at.event.fact),
        policy=why.policy,
        hosts=why.hosts,
        feasible=why.feasible,
        ask=at.commit.ask,
        actor=at.commit.actor,
        reason=at.commit.reason,
        why=why,
    )


def order_line(order: Order) -> OrderLine:
    work = str(order.work.__struct_config__.tag)
    return OrderLine(order.id, order.to, order.container, work, order.saga, order.expires)
