"""Tenants cannot touch each other: what belongs to another one is not there."""

from domain.decider import Ask
from domain.fleet import Fleet
from domain.messages import Code, ContainerId, OperationId, Refusal, Tenant

OPERATORS_ONLY = "host."


def owner(fleet: Fleet, ask: Ask) -> Tenant | None:
    """Return whose the thing is that a command names; None if there is no such thing."""
    command = ask.command
    environment = getattr(command, "environment", None)
    container = fleet.containers.get(ContainerId(getattr(command, "container", "")))
    operation = fleet.operations.get(OperationId(getattr(command, "operation", "")))
    if container is not None:
        environment = container.environment
    elif operation is not None:
        environment = operation.environment
    home = fleet.environments.get(environment) if environment else None
    return home.tenant if home else None


def foreign(fleet: Fleet, ask: Ask) -> Refusal | None:
    """Refuse what a tenant asks about another's things, in words that do not betray them."""
    if not ask.tenant:
        return None
    tag = str(ask.command.__struct_config__.tag)
    if tag.startswith(OPERATORS_ONLY):
        return Refusal(Code.AUTH_DENIED, f"{tag} is for operators; {ask.tenant} is a tenant")
    whose = owner(fleet, ask)
    if whose is None or whose == ask.tenant:
        return None
    return _not_there(ask)


def _not_there(ask: Ask) -> Refusal:
    for noun, code in (
        ("operation", Code.OPERATION_NOT_FOUND),
        ("container", Code.CONTAINER_NOT_FOUND),
        ("environment", Code.ENVIRONMENT_NOT_FOUND),
    ):
        name = getattr(ask.command, noun, None)
        if name is not None:
            return Refusal(code, f"there is no {noun} {name}", f"$.{noun}")
    return Refusal(Code.AUTH_DENIED, f"{ask.tenant} may not ask this")
