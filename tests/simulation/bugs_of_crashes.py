"""Planted bugs of what survives crashes, lost and repeated messages, and of answers."""

from typing import Any

from msgspec.structs import replace

from domain import (
    agent,
    memory,
    region,
)
from domain.answers import Answers
from domain.fleet import Fleet
from domain.image import from_image
from domain.messages import Refusal
from domain.region import Region
from restow.simulation import agents, engines
from tests.simulation.planting import Patch, plant


@plant
def answers_are_forgotten(patch: Patch) -> None:
    """Who asks again is answered anew."""
    patch.setattr(Answers, "get", lambda *_: None)


@plant
def refusals_are_not_remembered(patch: Patch) -> None:
    """Only what was accepted is remembered."""
    right = Answers.get

    def wrong(self: Any, *ask: Any) -> Any:
        known = right(self, *ask)
        return None if known and isinstance(known.answer, Refusal) else known

    patch.setattr(Answers, "get", wrong)


@plant
def no_fence(patch: Patch) -> None:
    """The journal takes frames of an old epoch."""
    patch.setattr(engines, "is_fenced", lambda *_: False)


@plant
def agents_take_orders_of_old_epochs(patch: Patch) -> None:
    """An agent does not look at the epoch of an order."""
    right = agent.receive

    def wrong(one: Any, order: Any, now: Any) -> Any:
        return right(one, replace(order, epoch=max(order.epoch, one.epoch)), now)

    patch.setattr(agents, "receive", wrong)


@plant
def orders_are_not_written_down(patch: Patch) -> None:
    """An agent does not note that it has begun an order."""
    patch.setattr(memory, "_taken", lambda one, _order: one)


@plant
def late_orders_are_carried_out(patch: Patch) -> None:
    """An agent begins an order that has expired."""
    right = agent._objection
    patch.setattr(
        agent,
        "_objection",
        lambda one, order, now: right(one, replace(order, expires=0), now),
    )


def forgetful(patch: Patch, table: str) -> None:
    """Let an image of a region lack a table of the fleet."""
    right = from_image

    def wrong(data: bytes) -> Region:
        made = right(data)
        getattr(made.fleet, table).clear()
        return made

    patch.setattr(engines, "from_image", wrong)


@plant
def deadlines_are_lost_in_a_restart(patch: Patch) -> None:
    """After a restart no timer is armed again."""
    forgetful(patch, "deadlines")


@plant
def orders_are_lost_in_a_restart(patch: Patch) -> None:
    """After a restart the outbox is empty."""
    forgetful(patch, "orders")


@plant
def refused_leaves_traces(patch: Patch) -> None:
    """What was tried for an ask that is refused is not taken back."""
    patch.setattr(Fleet, "undo", Fleet.keep)


@plant
def dry_run_is_kept(patch: Patch) -> None:
    """A dry run changes the fleet."""
    right = Region._foresee

    def wrong(self: Region, ask: Any, at: Any) -> Any:
        seen = right(self, ask, at)
        self.decide(replace(ask, dry_run=False, expect_plan=None), at)
        return seen

    patch.setattr(Region, "_foresee", wrong)


@plant
def tenants_meet(patch: Patch) -> None:
    """Nobody looks whose the thing is that a command names."""
    patch.setattr(region, "foreign", lambda *_: None)
