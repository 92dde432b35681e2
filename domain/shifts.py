"""What evacuations, growths and rebalances do to the fleet: sagas that move containers."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from domain import evacuation as ev
from domain import growth as gr
from domain import rebalance as rb
from domain.facts import members
from domain.fleet import Fleet
from domain.messages import Event, Instant, number_of

REBALANCES_MAX = 100
"""Rebalances that are remembered; older ones are in the journal."""


def evacuation_requested(fleet: Fleet, event: ev.EvacuationRequested, at: Instant) -> None:
    """Keep a new evacuation; of each host the last one is enough for the way back."""
    for old in list(fleet.evacuations.values()):
        if (old.host, old.kind) == (event.host, event.kind):
            fleet.put(fleet.evacuations, old.id, None)
    fleet.put(fleet.counters, "evacuation", int(event.evacuation.removeprefix("ev")))
    fleet.put_evacuation(ev.begin(event, at))


def evacuation_event(fleet: Fleet, event: ev.Progressed, at: Instant) -> None:
    fleet.put_evacuation(ev.evolve(fleet.evacuations[event.evacuation], event, at))


def growth_requested(fleet: Fleet, event: gr.GrowthRequested, at: Instant) -> None:
    """Keep a new growth; what was deferred is its business now."""
    container = fleet.containers[event.container]
    fleet.put(fleet.counters, "growth", int(event.growth.removeprefix("gr")))
    fleet.put_growth(gr.begin(event, (container.reserved, container.limit), at))
    if container.deferred is not None:
        fleet.put(fleet.containers, container.id, replace(container, deferred=None))


def growth_event(fleet: Fleet, event: gr.Progressed, at: Instant) -> None:
    fleet.put_growth(gr.evolve(fleet.growths[event.growth], event, at))


def growth_settled(fleet: Fleet, event: gr.GrowthSettled, at: Instant) -> None:
    growth_event(fleet, event, at)
    fleet.retire(event.growth)


def rebalance_requested(fleet: Fleet, event: rb.RebalanceRequested, at: Instant) -> None:
    """Keep a new rebalance, and forget the oldest one where there are many."""
    number = number_of(event.rebalance)
    oldest = next((n for n in fleet.rebalances if number_of(n) <= number - REBALANCES_MAX), None)
    if oldest is not None:
        fleet.put(fleet.rebalances, oldest, None)
    fleet.put(fleet.counters, "rebalance", number)
    fleet.put_rebalance(rb.begin(event, at))


def rebalance_event(fleet: Fleet, event: rb.Progressed, at: Instant) -> None:
    fleet.put_rebalance(rb.evolve(fleet.rebalances[event.rebalance], event, at))


SHIFTS: dict[type[Event], Callable[[Fleet, Any, Instant], None]] = {
    ev.EvacuationRequested: evacuation_requested,
    **dict.fromkeys(members(ev.Progressed), evacuation_event),
    gr.GrowthRequested: growth_requested,
    **dict.fromkeys(members(gr.Progressed), growth_event),
    gr.GrowthSettled: growth_settled,
    rb.RebalanceRequested: rebalance_requested,
    **dict.fromkeys(members(rb.Progressed), rebalance_event),
}
