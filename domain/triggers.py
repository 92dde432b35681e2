"""Decisions about triggers: set and switched, fired and refused, and what came of it.

A firing scales its layer by the very command that people use, so it is held to the same rules. It
never waits behind anything: what is refused is written down, and tried again later and later.
"""

from domain.decider import NOTHING, Decision, Outcome
from domain.environment import Layer
from domain.fleet import Fleet
from domain.layers import find_layer, stopped
from domain.messages import Accepted, Code, Instant, OperationId, Refusal, TriggerId
from domain.operation import ScaleLayer
from domain.scaling import scale_layer, staying
from domain.tenancy import missing
from domain.trigger import (
    DONE,
    DisableTrigger,
    EnableTrigger,
    FireTrigger,
    RefuseFiring,
    RemoveTrigger,
    SettleTrigger,
    SetTrigger,
    Trigger,
    TriggerDisabled,
    TriggerEnabled,
    TriggerFired,
    TriggerRefused,
    TriggerRemoved,
    TriggerRuleSet,
    TriggerSettled,
    contradicts,
    rule_of,
)

AGAIN_MS = 30_000
"""How long after a refusal it is tried again; each refusal after it doubles that."""
AGAIN_MAX_MS = 1_800_000
DOUBLINGS_MAX = 10


def find(fleet: Fleet, name: str) -> Trigger | Refusal:
    """Return a trigger by its id."""
    return fleet.triggers.get(TriggerId(name)) or missing("trigger", name)


def set_trigger(fleet: Fleet, ask: SetTrigger) -> Outcome:
    """Set the trigger of a layer for one resource, be it new or there already."""
    wrong = contradicts(ask)
    if wrong is not None:
        return wrong
    layer = find_layer(fleet, ask.environment, ask.layer)
    if isinstance(layer, Refusal):
        return layer
    rule = rule_of(ask)
    known = (fleet.triggers[name] for name in layer.triggers)
    old = next((one for one in known if one.rule.resource == rule.resource), None)
    name = old.id if old else TriggerId(f"tr{fleet.next_number('trigger')}")
    enabled = ask.enabled if ask.enabled is not None else old is None or old.enabled
    if old is not None and (old.rule, old.enabled) == (rule, enabled):
        return NOTHING
    was_set = TriggerRuleSet(name, layer.environment, layer.name, rule, enabled)
    refused = not_within(fleet, layer, rule.min_count, rule.max_count) if enabled else None
    return refused or Decision((was_set,), answer=Accepted(notices=(f"it is trigger {name}",)))


def not_within(fleet: Fleet, layer: Layer, least: int, most: int) -> Refusal | None:
    """Refuse to watch over a layer that has more containers than it may have, or fewer."""
    count = len(staying(fleet, layer))
    if least <= count <= most:
        return None
    name = f"{layer.environment}/{layer.name}"
    field = "min_count" if count < least else "max_count"
    return Refusal(
        Code.LIMITS_OUT_OF_RANGE,
        f"layer {name} has {count} containers, the trigger would keep {least}..{most}: set {field}"
        f" so that {count} is within, or scale the layer first (restow layer scale {name})",
        f"$.{field}",
        {"containers": count, "min_count": least, "max_count": most},
    )


def enable(fleet: Fleet, ask: EnableTrigger) -> Outcome:
    trigger = find(fleet, ask.trigger)
    if isinstance(trigger, Refusal):
        return trigger
    if trigger.enabled:
        return NOTHING
    rule = trigger.rule
    refused = not_within(fleet, fleet.layers[trigger.key], rule.min_count, rule.max_count)
    return refused or Decision((TriggerEnabled(trigger.id),))


def disable(fleet: Fleet, ask: DisableTrigger) -> Outcome:
    trigger = find(fleet, ask.trigger)
    if isinstance(trigger, Refusal):
        return trigger
    return Decision((TriggerDisabled(trigger.id),)) if trigger.enabled else NOTHING


def remove(fleet: Fleet, ask: RemoveTrigger) -> Outcome:
    trigger = find(fleet, ask.trigger)
    if isinstance(trigger, Refusal):
        return trigger
    return Decision((TriggerRemoved(trigger.id, *trigger.key),))


def fire(fleet: Fleet, ask: FireTrigger, now: Instant) -> Outcome:
    """Scale the layer as a person would, unless what was seen is not so any more."""
    if not may_fire(fleet, ask, now):
        return NOTHING
    trigger = fleet.triggers[ask.trigger]
    layer = fleet.layers[trigger.key]
    if len(staying(fleet, layer)) != ask.count:
        return NOTHING
    if not trigger.rule.min_count <= ask.wanted <= trigger.rule.max_count:
        return at_its_bounds(trigger, ask)
    scale = ScaleLayer(
        environment=trigger.environment, layer=trigger.layer, count=ask.wanted, queue=False
    )
    outcome = scale_layer(fleet, scale)
    if isinstance(outcome, Refusal):
        return outcome
    fired = TriggerFired(
        trigger.id,
        *trigger.key,
        trigger.rule.resource,
        OperationId(f"op{fleet.next_number('operation')}"),
        ask.count,
        ask.wanted,
        ask.usage,
        ask.since,
        ask.why,
    )
    return Decision((fired,), outcome.then, outcome.answer)


def may_fire(fleet: Fleet, ask: FireTrigger, now: Instant) -> bool:
    """Say whether a trigger may fire: switched on, its layer running, nothing fired lately."""
    trigger = fleet.triggers.get(ask.trigger)
    if trigger is None or not trigger.enabled or not trigger.may(ask.count, ask.wanted, now):
        return False
    layer = fleet.layers[trigger.key]
    if layer.leaving or stopped(fleet, layer):
        return False
    others = [fleet.triggers[name] for name in layer.triggers]
    return all(one.operation is None and one.calm_until <= now for one in others)


def at_its_bounds(trigger: Trigger, ask: FireTrigger) -> Refusal:
    """Refuse to go beyond what the trigger itself was set to."""
    rule = trigger.rule
    return Refusal(
        Code.LIMITS_OUT_OF_RANGE,
        f"usage of {ask.usage} % calls for {ask.wanted} containers, and trigger {trigger.id} keeps"
        f" {rule.min_count}..{rule.max_count} of them; set another max_count if that is too few",
        "$.max_count",
        {"wanted": ask.wanted, "min_count": rule.min_count, "max_count": rule.max_count},
    )


def pause_ms(tries: int) -> int:
    """Return how long to wait after a firing that came to nothing, as `tries` before it."""
    return min(AGAIN_MS << min(tries, DOUBLINGS_MAX), AGAIN_MAX_MS)


def refuse(fleet: Fleet, ask: RefuseFiring, now: Instant) -> Outcome:
    """Write the refusal into the trigger's history, and wait before the next try."""
    firing = ask.firing
    trigger = fleet.triggers[firing.trigger]
    refused = TriggerRefused(
        trigger.id,
        *trigger.key,
        trigger.rule.resource,
        firing.count,
        firing.wanted,
        firing.usage,
        firing.since,
        firing.why,
        ask.refusal.code.value,
        ask.refusal.detail,
        Instant(now + pause_ms(trigger.tries)),
    )
    return Decision((refused,), answer=Accepted())


def settle(fleet: Fleet, ask: SettleTrigger, now: Instant) -> Outcome:
    """Write down what came of a firing; what failed is tried again only later and later."""
    trigger = fleet.triggers.get(ask.trigger)
    operation = fleet.operations[ask.operation]
    if trigger is None or trigger.operation != operation.id:
        return NOTHING
    rest = trigger.rule.cooldown_s * 1_000
    if operation.outcome != DONE:
        rest = max(rest, pause_ms(trigger.tries))
    settled = TriggerSettled(
        trigger.id,
        operation.id,
        operation.outcome,
        len(fleet.layers[trigger.key].containers),
        Instant(now + rest),
        operation.detail,
    )
    return Decision((settled,))
