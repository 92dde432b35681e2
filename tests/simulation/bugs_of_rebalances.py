"""Planted bugs of rebalances."""

from typing import Any

from msgspec.structs import replace

from domain import balancing, rebalancing
from domain import rebalance as rb
from domain.chronicle import CHRONICLE
from domain.decider import NOTHING
from domain.decisions import DECIDE
from domain.evenness import Board
from domain.fleet import Fleet
from tests.simulation.planting import Patch, plant, put, then


@plant
def rebalances_move_for_nothing(patch: Patch) -> None:
    """A rebalance takes every move for worth it."""
    patch.setattr(Board, "is_worth", lambda *_: True)


@plant
def rebalances_spend_too_much(patch: Patch) -> None:
    """A rebalance moves more than it was allowed to."""
    right = balancing.balance

    def wrong(fleet: Fleet, wanted: Any) -> Any:
        return right(fleet, replace(wanted, budget=wanted.budget + 1))

    patch.setattr(rebalancing, "balance", wrong)


@plant
def rebalances_go_on_while_held(patch: Patch) -> None:
    """A rebalance that is paused begins the next move."""

    def go_on(fleet: Fleet, fact: Any, _at: Any) -> None:
        one = fleet.rebalances[fact.rebalance]
        fleet.put_rebalance(replace(one, state=rb.RebalanceState.RUNNING))

    then(patch, rb.RebalancePaused, go_on)


@plant
def rebalances_move_two_at_once(patch: Patch) -> None:
    """A rebalance forgets who is on the way."""
    right = CHRONICLE[rb.RebalanceMoveBegun]

    def wrong(fleet: Fleet, fact: Any, at: Any) -> None:
        right(fleet, fact, at)
        one = fleet.rebalances[fact.rebalance]
        fleet.put_rebalance(replace(one, at_once=99))

    put(patch, CHRONICLE, rb.RebalanceMoveBegun, wrong)


@plant
def rebalances_never_hear_the_end(patch: Patch) -> None:
    """A rebalance is not told to look again."""
    put(patch, DECIDE, rb.AdvanceRebalance, lambda *_: NOTHING)
