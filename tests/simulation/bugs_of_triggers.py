"""Planted bugs of triggers."""

from typing import Any

from msgspec.structs import replace

from domain import horizontal, triggers
from domain import trigger as tg
from domain.decider import Decision
from domain.fleet import Fleet
from handlers.engine import gauges
from tests.simulation.planting import Patch, plant, then


@plant
def triggers_never_rest(patch: Patch) -> None:
    """There is no cooldown: a trigger fires again as soon as its operation is over."""

    def no_rest(fleet: Fleet, fact: Any, _at: Any) -> None:
        one = fleet.triggers[fact.trigger]
        fleet.put(fleet.triggers, one.id, replace(one, calm_until=0))

    then(patch, tg.TriggerSettled, no_rest)


@plant
def triggers_fire_while_one_is_under_way(patch: Patch) -> None:
    """A trigger forgets what it fired."""

    def forget(fleet: Fleet, fact: Any, _at: Any) -> None:
        one = fleet.triggers[fact.trigger]
        fleet.put(fleet.triggers, one.id, replace(one, operation=None))

    then(patch, tg.TriggerFired, forget)


@plant
def triggers_try_again_at_once(patch: Patch) -> None:
    """What was refused is asked for again and again."""

    def forget(fleet: Fleet, fact: Any, _at: Any) -> None:
        one = fleet.triggers[fact.trigger]
        fleet.put(fleet.triggers, one.id, replace(one, again_at=0, tries=0))

    then(patch, tg.TriggerRefused, forget)


@plant
def triggers_undo_what_they_did(patch: Patch) -> None:
    """A trigger removes containers though the others cannot bear what is used."""
    patch.setattr(horizontal, "can_bear", lambda _one, _count, _wanted: True)


@plant
def triggers_never_hear_the_end(patch: Patch) -> None:
    """What came of a firing is not told to its trigger."""
    patch.setattr(triggers, "settle", lambda _fleet, _ask, _now: Decision())


@plant
def windows_outlive_firings(patch: Patch) -> None:
    """What was seen before a layer was scaled counts afterwards."""
    right = horizontal.look_at

    def wrong(triggers: Any, watches: Any, *more: Any) -> Any:
        calm = max((one.calm_until for one in triggers), default=0)
        return right(triggers, {k: replace(w, calm=calm) for k, w in watches.items()}, *more)

    patch.setattr(gauges, "look_at", wrong)
