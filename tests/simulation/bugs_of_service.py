"""Planted bugs of what keeps a layer in service: never zero, claims, DNS, health."""

from typing import Any

from msgspec.structs import replace

from domain import (
    moving,
    reports,
    sequence,
    step,
)
from domain import operation as op
from domain.container import Container
from domain.fleet import Fleet
from domain.operation import Stage
from domain.step import LEAVE
from tests.simulation.planting import Patch, change, plant, put, then


@plant
def steps_do_not_look_for_another(patch: Patch) -> None:
    """A step takes the last operable container of a layer."""
    patch.setattr(sequence, "obstacle", lambda *_: "")


@plant
def moves_do_not_look_for_another(patch: Patch) -> None:
    """A migration freezes the last operable container of a layer."""
    patch.setattr(moving, "obstacle", lambda *_: "")


@plant
def ill_counts_as_operable(patch: Patch) -> None:
    """A container that is not healthy counts as operable."""
    patch.setattr(
        Container, "operable", property(lambda one: one.running and one.routed and not one.claim)
    )


@plant
def claim_is_forgotten(patch: Patch) -> None:
    """A step does not take its container."""
    then(patch, op.StepStarted, lambda fleet, fact, _at: change(fleet, fact.container, claim=""))


@plant
def claims_are_not_looked_at(patch: Patch) -> None:
    """A migration takes a container that a step has."""
    right = moving.waits_for

    def wrong(fleet: Fleet, one: Container, target: Any) -> str:
        return right(fleet, replace(one, claim=""), target)

    patch.setattr(moving, "waits_for", wrong)


@plant
def last_record_is_removed(patch: Patch) -> None:
    """A step takes the last record of a layer out of DNS."""
    patch.setattr(step, "leaves_dns", lambda at: at.container.routed)


@plant
def left_out_of_dns(patch: Patch) -> None:
    """A step that took its container out of DNS does not put it back."""
    patch.setattr(step, "put_back", step.done)


@plant
def ttl_is_not_waited_for(patch: Patch) -> None:
    """A container is taken down as soon as it is out of DNS."""
    patch.setattr(step, "TTL_MS", 0)
    patch.setattr(step, "GRACE_MS", 0)


@plant
def health_is_not_waited_for(patch: Patch) -> None:
    """A step is done when its order is, healthy or not."""
    right = LEAVE[Stage.WORKING]
    put(patch, LEAVE, Stage.WORKING, lambda at, why: right(at, why) if why else step.put_back(at))


@plant
def records_outlive_containers(patch: Patch) -> None:
    """The record of a container that is gone, and could not be taken away, stays."""
    patch.setattr(reports, "left_behind", lambda *_: ())
