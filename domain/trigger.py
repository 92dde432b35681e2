"""A trigger: it adds containers to a layer, or takes some away, when usage calls for it.

A layer has at most one trigger for each resource. A firing is a fact with its cause; what it leads
to is an operation like any other, and until that is over no trigger of the layer fires again.
"""

from typing import Annotated, Literal, assert_never

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from domain.messages import (
    COUNT_MAX,
    Code,
    Command,
    Count,
    EnvironmentId,
    EnvironmentName,
    Event,
    Instant,
    LayerLabel,
    LayerName,
    OperationId,
    PublicCommand,
    Refusal,
    TriggerId,
    TriggerName,
)

PERCENT = 100
APART_MIN = 20
"""Points that adding and removing must be apart, so that what one does is not undone at once."""
AMOUNT_MAX = 100
WINDOW_MIN_S = 5
"""Hosts say what their containers use every five seconds; less than that shows nothing."""
WINDOW_DEFAULT_S = 60
WINDOW_MAX_S = 3_600
COOLDOWN_DEFAULT_S = 300
COOLDOWN_MAX_S = 86_400
MAX_COUNT_DEFAULT = 8
FULL_MAX = 100_000_000

Resource = Literal["cpu", "memory", "network", "disk", "iops"]
Percent = Annotated[int, Meta(ge=1, le=PERCENT, description="percent of what a layer may use")]
Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX, description="containers at a time")]
WindowSeconds = Annotated[int, Meta(ge=WINDOW_MIN_S, le=WINDOW_MAX_S, description="seconds")]
CooldownSeconds = Annotated[int, Meta(ge=0, le=COOLDOWN_MAX_S, description="seconds")]
Full = Annotated[int, Meta(ge=1, le=FULL_MAX, description="KiB a second, or operations a second")]


class SetTrigger(PublicCommand, frozen=True, kw_only=True, tag="trigger.set"):
    """Set when a layer gets more containers by itself, or fewer: of each resource one trigger.

    Usage is that of all its containers together, in percent of what their limits allow. Above
    `add_above` for the whole of `window_s` it gets `add` more, below `remove_below` it loses
    `remove`; the two are at least 20 points apart. It has `min_count` to `max_count` containers,
    and is left alone for `cooldown_s` after each change. `full` is what 100 % of one container is,
    where its limits do not say: KiB a second of `network` and `disk`, operations a second of
    `iops`. A new trigger is switched on, one that was there stays as it is, unless `enabled` says
    otherwise.
    """

    environment: EnvironmentName
    layer: LayerLabel
    resource: Resource
    add_above: Percent | None = None
    remove_below: Percent | None = None
    add: Amount = 1
    remove: Amount = 1
    min_count: Count = 1
    max_count: Count = MAX_COUNT_DEFAULT
    window_s: WindowSeconds = WINDOW_DEFAULT_S
    cooldown_s: CooldownSeconds = COOLDOWN_DEFAULT_S
    full: Full | None = None
    enabled: bool | None = None


class RemoveTrigger(PublicCommand, frozen=True, kw_only=True, tag="trigger.remove"):
    """Remove a trigger; what it began goes on to its end."""

    trigger: TriggerName


class EnableTrigger(PublicCommand, frozen=True, kw_only=True, tag="trigger.enable"):
    """Switch a trigger on; it looks at usage from now on."""

    trigger: TriggerName


class DisableTrigger(PublicCommand, frozen=True, kw_only=True, tag="trigger.disable"):
    """Switch a trigger off; what it began goes on to its end."""

    trigger: TriggerName


class FireTrigger(Command, frozen=True, kw_only=True, tag="trigger.fire"):
    """Scale the layer of a trigger from `count` containers to `wanted`. Internal.

    `usage` is in percent, `since` when it began to call for that; `why` is usage or bounds.
    """

    trigger: TriggerId
    count: int
    wanted: int
    usage: int
    since: Instant
    why: str


class RefuseFiring(Command, frozen=True, kw_only=True, tag="trigger.refuse"):
    """Write down that a firing was refused, and why. Internal."""

    firing: FireTrigger
    refusal: Refusal


class SettleTrigger(Command, frozen=True, kw_only=True, tag="trigger.settle"):
    """Write down what came of a firing: its operation is over. Internal."""

    trigger: TriggerId
    operation: OperationId


class Rule(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """When a trigger fires and what it does then; see `SetTrigger`."""

    resource: Resource
    add_above: int | None = None
    remove_below: int | None = None
    add: int = 1
    remove: int = 1
    min_count: int = 1
    max_count: int = MAX_COUNT_DEFAULT
    window_s: int = WINDOW_DEFAULT_S
    cooldown_s: int = COOLDOWN_DEFAULT_S
    full: int | None = None


class TriggerRuleSet(Event, frozen=True, gc=False, tag="trigger.rule-set"):
    trigger: TriggerId
    environment: EnvironmentId
    layer: LayerName
    rule: Rule
    enabled: bool = True


class TriggerEnabled(Event, frozen=True, gc=False, tag="trigger.enabled"):
    trigger: TriggerId


class TriggerDisabled(Event, frozen=True, gc=False, tag="trigger.disabled"):
    trigger: TriggerId


class TriggerFired(Event, frozen=True, gc=False, tag="trigger.fired"):
    """Usage called for `wanted` containers instead of `count`; the operation brings them about."""

    trigger: TriggerId
    environment: EnvironmentId
    layer: LayerName
    resource: Resource
    operation: OperationId
    count: int
    wanted: int
    usage: int
    since: Instant
    why: str


class TriggerRefused(Event, frozen=True, gc=False, tag="trigger.refused"):
    """A firing was refused; nothing of it happened, and until `until` it is not tried again."""

    trigger: TriggerId
    environment: EnvironmentId
    layer: LayerName
    resource: Resource
    count: int
    wanted: int
    usage: int
    since: Instant
    why: str
    code: str
    detail: str
    until: Instant


class TriggerSettled(Event, frozen=True, gc=False, tag="trigger.settled"):
    """What came of a firing. No trigger of the layer fires before `until`."""

    trigger: TriggerId
    operation: OperationId
    outcome: str
    count: int
    until: Instant
    detail: str = ""


class TriggerRemoved(Event, frozen=True, gc=False, tag="trigger.removed"):
    trigger: TriggerId
    environment: EnvironmentId
    layer: LayerName


TriggerEvent = (
    TriggerRuleSet
    | TriggerEnabled
    | TriggerDisabled
    | TriggerFired
    | TriggerRefused
    | TriggerSettled
    | TriggerRemoved
)


class Trigger(msgspec.Struct, frozen=True, gc=False):
    """A trigger, and what it did last.

    `operation` carries on what it fired, `calm_until` ends the cooldown after that. What was
    refused last (`more` containers, or fewer) is not tried again before `again_at`; `tries` came
    to nothing since it was last done.
    """

    id: TriggerId
    environment: EnvironmentId
    layer: LayerName
    rule: Rule
    enabled: bool = True
    operation: OperationId | None = None
    calm_until: Instant = Instant(0)
    again_at: Instant = Instant(0)
    tries: int = 0
    more: bool = False

    def may(self, count: int, wanted: int, now: Instant) -> bool:
        """Say whether it may ask for so many now: the same way was not refused lately."""
        return now >= self.again_at or (wanted > count) != self.more

    @property
    def key(self) -> tuple[EnvironmentId, LayerName]:
        return (self.environment, self.layer)


def rule_of(ask: SetTrigger) -> Rule:
    """Return the rule that a command asks for."""
    return Rule(**{name: getattr(ask, name) for name in Rule.__struct_fields__})


def contradicts(ask: SetTrigger) -> Refusal | None:
    """Refuse a rule that never fires, or that would undo at once what it did."""
    above, below = ask.add_above, ask.remove_below
    if above is None and below is None:
        detail = f"give add_above (1..{PERCENT} percent), remove_below or both; neither was given"
        return Refusal(Code.REQUEST_INVALID, detail, "$.add_above")
    if above is not None and below is not None and above - below < APART_MIN:
        detail = f"remove_below must be at least {APART_MIN} points less than add_above ({above})"
        most = above - APART_MIN
        detail += f": 1..{most}, got {below}" if most > 0 else f"; raise add_above, got {below}"
        facts = {"add_above": above, "remove_below": below, "apart": APART_MIN}
        return Refusal(Code.LIMITS_OUT_OF_RANGE, detail, "$.remove_below", {**facts})
    if ask.min_count > ask.max_count:
        detail = f"max_count must be {ask.min_count} (min_count)..{COUNT_MAX}, got {ask.max_count}"
        return Refusal(Code.LIMITS_OUT_OF_RANGE, detail, "$.max_count")
    if ask.full is not None and ask.resource in {"cpu", "memory"}:
        detail = f"full is for network, disk and iops; of {ask.resource} it is a container's limit"
        return Refusal(Code.REQUEST_INVALID, detail, "$.full")
    return None


Told = TriggerEnabled | TriggerDisabled | TriggerFired | TriggerRefused | TriggerSettled


def begin(event: TriggerRuleSet, old: Trigger | None) -> Trigger:
    """Return a trigger as it was set; of one that was there, what it began goes on."""
    if old is None:
        return Trigger(event.trigger, event.environment, event.layer, event.rule, event.enabled)
    anew = Instant(0)
    return replace(old, rule=event.rule, enabled=event.enabled, again_at=anew, tries=0)


def evolve(trigger: Trigger, event: Told) -> Trigger:
    match event:
        case TriggerEnabled():
            return replace(trigger, enabled=True, again_at=Instant(0), tries=0)
        case TriggerDisabled():
            return replace(trigger, enabled=False)
        case TriggerFired(operation=operation):
            return replace(trigger, operation=operation, again_at=Instant(0))
        case TriggerRefused(until=until):
            more = event.wanted > event.count
            return replace(trigger, again_at=until, tries=trigger.tries + 1, more=more)
        case TriggerSettled(outcome=outcome, until=until):
            tries = 0 if outcome == DONE else trigger.tries + 1
            return replace(trigger, operation=None, calm_until=until, tries=tries)
        case _:
            assert_never(event)


DONE = "done"
