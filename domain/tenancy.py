"""Tenants cannot touch each other: what belongs to another one is not there."""

from domain.decider import Ask
from domain.environment import CreateEnvironment
from domain.fleet import Fleet
from domain.messages import Code, ContainerId, GrowthId, OperationId, Refusal, Tenant, TriggerId

OPERATORS_ONLY = ("host.", "evacuation.", "rebalance.", "tenant.", "dead.")


def owner(fleet: Fleet, ask: Ask) -> Tenant | None:
    """Return whose the thing is that a command names; None if there is no such thing."""
    command = ask.command
    environment = getattr(command, "environment", None)
    growth = fleet.growths.get(GrowthId(getattr(command, "growth", "")))
    name = growth.container if growth else ContainerId(getattr(command, "container", ""))
    container = fleet.containers.get(name)
    operation = fleet.operations.get(OperationId(getattr(command, "operation", "")))
    trigger = fleet.triggers.get(TriggerId(getattr(command, "trigger", "")))
    if container is not None:
        environment = container.environment
    elif operation is not None:
        environment = operation.environment
    elif trigger is not None:
        environment = trigger.environment
    home = fleet.environments.get(environment) if environment else None
    return home.tenant if home else None


def foreign(fleet: Fleet, ask: Ask) -> Refusal | None:
    """Refuse what a tenant asks about another's things, in the words for what is not there.

    That the name of an environment is taken cannot be hidden from whoever wants it too.
    """
    if not ask.tenant:
        return None
    tag = str(ask.command.__struct_config__.tag)
    if tag.startswith(OPERATORS_ONLY):
        return Refusal(Code.AUTH_DENIED, f"{tag} is for operators; {ask.tenant} is a tenant")
    if getattr(ask.command, "force", False):
        return Refusal(Code.AUTH_DENIED, f"force is for operators; {ask.tenant} is a tenant")
    whose = owner(fleet, ask)
    if whose is None or whose == ask.tenant:
        return None
    if isinstance(ask.command, CreateEnvironment):
        return exists(ask.command.environment)
    noun = next(noun for noun in MISSING if getattr(ask.command, noun, None) is not None)
    return missing(noun, getattr(ask.command, noun))


MISSING: dict[str, tuple[Code, str]] = {
    "operation": (Code.OPERATION_NOT_FOUND, "see `restow op list`"),
    "evacuation": (Code.EVACUATION_NOT_FOUND, "see `restow evacuation list`"),
    "rebalance": (Code.REBALANCE_NOT_FOUND, "see `restow rebalance list`"),
    "growth": (Code.GROWTH_NOT_FOUND, "see `restow growth list`"),
    "trigger": (Code.TRIGGER_NOT_FOUND, "see `restow trigger list`"),
    "container": (Code.CONTAINER_NOT_FOUND, "see `restow container list`"),
    "environment": (Code.ENVIRONMENT_NOT_FOUND, "create it first"),
}


def missing(noun: str, name: str) -> Refusal:
    """Refuse a command about something that is not there, or that the asker may not know of."""
    code, way = MISSING[noun]
    return Refusal(code, f"there is no {noun} {name}; {way}", f"$.{noun}", {noun: name})


def exists(name: str) -> Refusal:
    """Refuse to create an environment whose name is taken, whoever has it."""
    return Refusal(
        Code.ENVIRONMENT_EXISTS,
        f"environment {name} exists; choose another name, or add layers to it",
        "$.environment",
    )
