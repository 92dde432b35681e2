"""What is promised of triggers, checked against each event; it shares no code with what fires."""

from collections.abc import Iterator

from domain.environment import LayerKey
from domain.fleet import Fleet
from domain.horizontal import USAGE
from domain.messages import Instant, OperationId, TriggerId
from domain.operation import OperationRequested
from domain.trigger import (
    TriggerEnabled,
    TriggerEvent,
    TriggerFired,
    TriggerRefused,
    TriggerRemoved,
    TriggerRuleSet,
    TriggerSettled,
)


class Firings:
    """Notes of triggers: what each layer's last firing began, when that ended, who must wait."""

    def __init__(self) -> None:
        self._under_way: dict[LayerKey, TriggerFired] = {}
        self._rests: dict[LayerKey, Instant] = {}
        self._ended: dict[LayerKey, Instant] = {}
        self._waits: dict[tuple[TriggerId, bool], Instant] = {}
        self._announced: dict[OperationId, TriggerFired] = {}

    def happened(self, fleet: Fleet, fact: TriggerEvent, at: Instant) -> Iterator[str]:
        """Give what is not kept when `fact` happens to the fleet as it is; then note it."""
        if isinstance(fact, TriggerFired):
            yield from self._fired(fleet, fact, at)
        elif isinstance(fact, TriggerSettled):
            yield from self._settled(fleet, fact, at)
        elif isinstance(fact, TriggerRefused):
            yield from self._early(fact, at)
            self._forget_waiting(fact.trigger)
            self._waits[fact.trigger, fact.wanted > fact.count] = fact.until
        elif isinstance(fact, TriggerRuleSet | TriggerEnabled):
            self._forget_waiting(fact.trigger)
        elif isinstance(fact, TriggerRemoved):
            self._forget(fact)

    def _early(self, fact: TriggerFired | TriggerRefused, at: Instant) -> Iterator[str]:
        if at < self._waits.get((fact.trigger, fact.wanted > fact.count), at):
            yield f"{fact.trigger} tries again too early"

    def _fired(self, fleet: Fleet, fact: TriggerFired, at: Instant) -> Iterator[str]:
        key = (fact.environment, fact.layer)
        rule, enabled = fleet.triggers[fact.trigger].rule, fleet.triggers[fact.trigger].enabled
        if not enabled:
            yield f"{fact.trigger} fires and is switched off"
        if not rule.min_count <= fact.wanted <= rule.max_count:
            yield f"{fact.trigger} wants {fact.wanted}, not {rule.min_count}..{rule.max_count}"
        if key in self._under_way:
            yield f"{fact.trigger} fires while {self._under_way[key].operation} is under way"
        if at < self._rests.get(key, at):
            yield f"{fact.trigger} fires {self._rests[key] - at} ms before the cooldown is over"
        if fact.why == USAGE and fact.since < self._ended.get(key, fact.since):
            yield f"{fact.trigger} fires by what was seen before its layer was scaled"
        yield from self._early(fact, at)
        self._forget_waiting(fact.trigger)
        self._under_way[key] = self._announced[fact.operation] = fact

    def _settled(self, fleet: Fleet, fact: TriggerSettled, at: Instant) -> Iterator[str]:
        trigger = fleet.triggers[fact.trigger]
        begun = self._under_way.pop(trigger.key, None)
        if begun is None or begun.operation != fact.operation:
            yield f"{fact.trigger} settles {fact.operation}, which it did not begin"
        elif fact.outcome != fleet.operations[fact.operation].outcome:
            yield f"{fact.trigger} says that {fact.operation} is {fact.outcome}"
        self._ended[trigger.key] = at
        self._rests[trigger.key] = Instant(at + trigger.rule.cooldown_s * 1_000)

    def _forget(self, fact: TriggerRemoved) -> None:
        """Whoever removes a trigger, and sets another one, does away with its cooldown."""
        key = (fact.environment, fact.layer)
        self._rests.pop(key, None)
        self._ended.pop(key, None)
        self._forget_waiting(fact.trigger)
        begun = self._under_way.get(key)
        if begun is not None and begun.trigger == fact.trigger:
            del self._under_way[key]

    def _forget_waiting(self, trigger: TriggerId) -> None:
        """A trigger waits for one thing at a time."""
        for more in (True, False):
            self._waits.pop((trigger, more), None)

    def requested(self, fact: OperationRequested) -> Iterator[str]:
        """Check that what a firing announced is what is begun."""
        fired = self._announced.pop(fact.operation, None)
        if fired is None:
            return
        kind = "scale-out" if fired.wanted > fired.count else "scale-in"
        many = abs(fired.wanted - fired.count)
        if (fact.kind, len(fact.plan)) != (kind, many) or fact.behind is not None:
            yield f"{fired.trigger} fired for {kind} by {many}, and {fact} was begun"
