"""Decisions to let an environment stand still, and to let it run again.

Stopping leaves everything where it is: hosts, sizes, volumes, names. It is one operation a layer;
all layers stop together, and start one after another in their order.
"""

from collections.abc import Callable

from domain.container import Container
from domain.decider import NOTHING, Decision, Outcome
from domain.environment import (
    Environment,
    EnvironmentStarted,
    EnvironmentState,
    EnvironmentStopped,
    Layer,
    StartEnvironment,
    StopEnvironment,
)
from domain.fleet import Fleet
from domain.layers import find_environment
from domain.messages import ContainerId, OperationId, Refusal
from domain.operation import BeginOperation, Planned, Settings, StepKind


def stop_environment(fleet: Fleet, ask: StopEnvironment) -> Outcome:
    """Stop all containers; asked again, those that a failure left running."""
    environment = find_environment(fleet, ask.environment)
    if isinstance(environment, Refusal):
        return environment
    layers = staying(fleet, environment)
    if environment.state is EnvironmentState.STOPPED:
        left = [(layer, those(fleet, layer, is_up)) for layer in layers if idle(layer)]
        again = [work(layer, names, StepKind.STOP) for layer, names in left if names]
        return Decision(then=tuple(again)) if again else NOTHING
    then = [work(layer, layer.containers, StepKind.STOP) for layer in layers]
    return Decision((EnvironmentStopped(environment.id),), tuple(then))


def start_environment(fleet: Fleet, ask: StartEnvironment) -> Outcome:
    """Start all containers; asked of one that runs, those of its containers that do not serve.

    A container that runs and is out of DNS was left out by a failure, and no other operation puts
    it back. To start its environment is to ask for just that.
    """
    environment = find_environment(fleet, ask.environment)
    if isinstance(environment, Refusal):
        return environment
    layers = staying(fleet, environment)
    if environment.state is EnvironmentState.STOPPED:
        then = in_order(fleet, [(layer, layer.containers) for layer in layers])
        return Decision((EnvironmentStarted(environment.id),), then)
    down = [(layer, those(fleet, layer, is_down)) for layer in layers if idle(layer)]
    then = in_order(fleet, [(layer, names) for layer, names in down if names])
    return Decision(then=then) if then else NOTHING


def staying(fleet: Fleet, environment: Environment) -> list[Layer]:
    layers = (fleet.layers[environment.id, name] for name in environment.layers)
    return [layer for layer in layers if not layer.leaving]


def idle(layer: Layer) -> bool:
    return layer.operation is None and not layer.queue


def is_up(container: Container) -> bool:
    return container.running or container.routed


def is_down(container: Container) -> bool:
    return not (container.running and container.routed)


def those(fleet: Fleet, layer: Layer, like: Callable[[Container], bool]) -> tuple[ContainerId, ...]:
    """Return the containers of a layer that are so."""
    return tuple(name for name in layer.containers if like(fleet.containers[name]))


def in_order(
    fleet: Fleet, wanted: list[tuple[Layer, tuple[ContainerId, ...]]]
) -> tuple[BeginOperation, ...]:
    """Ask for one start after another: each operation begins when the one before is over."""
    first = fleet.next_number("operation")
    return tuple(
        work(layer, names, StepKind.START, OperationId(f"op{first + n - 1}") if n else None)
        for n, (layer, names) in enumerate(wanted)
    )


def work(
    layer: Layer,
    names: tuple[ContainerId, ...],
    kind: StepKind,
    after: OperationId | None = None,
) -> BeginOperation:
    """Ask for an operation that stops or starts these containers of a layer, all at once."""
    return BeginOperation(
        kind=kind.value,
        environment=layer.environment,
        layer=layer.name,
        plan=tuple(Planned(name, kind) for name in names),
        settings=Settings(sequential=False, accept_downtime=True, on_failure="continue"),
        after=after,
    )
