"""What one command's fields must be to each other; what needs no state to be known as wrong."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from domain.dead import DropDead
from domain.deployment import DeployApplication, one_source
from domain.environment import AddLayer, CreateEnvironment, LayerSpec
from domain.host import RegisterHost
from domain.messages import CLOUDLETS_MAX, COUNT_MAX, REASON_MAX, Code, PublicCommand, Refusal
from domain.migration import MigrateContainer
from domain.operation import ScaleLayer, ScaleNode, SetCloudletLimits
from domain.orders import ROUTER
from domain.tenant import RATE_MAX, LimitTenant
from domain.trigger import SetTrigger, contradicts


def check(command: PublicCommand) -> Refusal | None:
    """Refuse a command whose fields contradict each other; None where they do not."""
    wrong = CHECKS.get(type(command))
    return wrong(command) if wrong is not None else None


def layers_fit(ask: CreateEnvironment | AddLayer) -> Refusal | None:
    """Layers have names of their own, and limits in order."""
    if isinstance(ask, AddLayer):
        return in_order(ask.layer, "$.layer.")
    return layers_apart(ask)


def no_router(ask: RegisterHost) -> Refusal | None:
    """A host has another name than the router."""
    if ask.host != ROUTER:
        return None
    detail = f"host must be another name: {ROUTER} is where orders to DNS and balancer go"
    return Refusal(Code.REQUEST_INVALID, detail, "$.host")


def one_target(ask: ScaleLayer) -> Refusal | None:
    """Exactly one of `count` and `by`."""
    if (ask.count is None) == (ask.by is None):
        given = "neither was" if ask.count is None else "both were"
        limit = f"count (1..{COUNT_MAX}) and by (-{COUNT_MAX}..{COUNT_MAX})"
        detail = f"give exactly one of {limit}; {given} given"
        return Refusal(Code.REQUEST_INVALID, detail, "$.count")
    return None


def some_limit(ask: ScaleNode | SetCloudletLimits) -> Refusal | None:
    """At least one of `reserved` and `limit`, and `reserved` not above `limit`."""
    if ask.reserved is None and ask.limit is None:
        detail = f"give reserved, limit or both (1..{CLOUDLETS_MAX} cloudlets); neither was given"
        return Refusal(Code.REQUEST_INVALID, detail, "$.reserved")
    return ordered(ask.reserved, ask.limit, "$.")


def said_why(ask: ScaleNode | MigrateContainer) -> Refusal | None:
    """`force` breaks a rule on purpose, so it wants a reason."""
    if not ask.force or ask.reason.strip():
        return None
    return no_reason("with force")


def no_reason(what: str) -> Refusal:
    detail = f"reason must say why {what}, in 1..{REASON_MAX} characters"
    return Refusal(Code.REQUEST_INVALID, detail, "$.reason")


def some_bound(ask: LimitTenant) -> Refusal | None:
    """At least one of the four limits."""
    if any(limit is not None for limit in (ask.rate, ask.burst, ask.in_flight, ask.kept)):
        return None
    detail = f"give rate (1..{RATE_MAX}), burst, in_flight or kept; none was given"
    return Refusal(Code.REQUEST_INVALID, detail, "$.rate")


def forced_somewhere(ask: MigrateContainer) -> Refusal | None:
    """`force` goes to a named host: placement never breaks a rule by itself."""
    if not ask.force or ask.target is not None:
        return None
    return Refusal(Code.REQUEST_INVALID, "target must name a host with force", "$.target")


def layers_apart(ask: CreateEnvironment) -> Refusal | None:
    """Each layer has a name of its own, and limits in order."""
    twice = [name for name, n in Counter(layer.name for layer in ask.layers).items() if n > 1]
    if twice:
        detail = f"layers must have names of their own; {twice[0]} is there more than once"
        return Refusal(Code.REQUEST_INVALID, detail, "$.layers", {"layer": twice[0]})
    found = (in_order(spec, f"$.layers[{index}].") for index, spec in enumerate(ask.layers))
    return next((refusal for refusal in found if refusal), None)


def in_order(spec: LayerSpec, path: str) -> Refusal | None:
    return ordered(spec.reserved, spec.limit, path)


def ordered(reserved: int | None, limit: int | None, path: str) -> Refusal | None:
    if reserved is None or limit is None or reserved <= limit:
        return None
    return Refusal(
        Code.LIMITS_OUT_OF_RANGE,
        f"{path[2:]}reserved must be 1..{limit}, which is the limit, got {reserved}",
        f"{path}reserved",
        {"reserved": reserved, "limit": limit},
    )


def dropped_for_something(ask: DropDead) -> Refusal | None:
    """What is thrown away cannot be asked about later, so it wants a reason."""
    return None if ask.reason.strip() else no_reason("to drop a command")


CHECKS: dict[type[PublicCommand], Callable[[Any], Refusal | None]] = {
    ScaleLayer: one_target,
    ScaleNode: lambda ask: some_limit(ask) or said_why(ask),
    SetCloudletLimits: some_limit,
    DeployApplication: one_source,
    MigrateContainer: lambda ask: forced_somewhere(ask) or said_why(ask),
    CreateEnvironment: layers_fit,
    AddLayer: layers_fit,
    RegisterHost: no_router,
    LimitTenant: some_bound,
    DropDead: dropped_for_something,
    SetTrigger: contradicts,
}
