"""Decisions about environments and layers: what is created, placed as a whole, and taken away."""

from typing import assert_never

from msgspec.structs import replace

from domain.container import Container, ContainerPlaced, ContainerRemoved, PlaceContainer
from domain.decider import Decision, Outcome
from domain.environment import (
    AddLayer,
    ChangeLayer,
    CreateEnvironment,
    Environment,
    EnvironmentCreated,
    EnvironmentLeaving,
    EnvironmentRemoved,
    EnvironmentState,
    Layer,
    LayerAdded,
    LayerChanged,
    LayerLeaving,
    LayerRemoved,
    LayerSpec,
    RemoveEnvironment,
    RemoveLayer,
    localhost_links,
    node_name,
)
from domain.fleet import Fleet
from domain.messages import (
    Accepted,
    Code,
    Command,
    ContainerId,
    EnvironmentId,
    Event,
    LayerName,
    Refusal,
    Tenant,
)
from domain.migration import MigrationReverted
from domain.networks import next_network
from domain.operation import BeginOperation, Planned, Settings, StepKind
from domain.placement import place, wish_for
from domain.tenancy import exists, missing
from domain.trigger import TriggerRemoved

NOTICES_MAX = 20
"""Notices of one answer; of more it is only said how many."""

LayerDecision = CreateEnvironment | RemoveEnvironment | AddLayer | ChangeLayer | RemoveLayer


def decide(fleet: Fleet, command: LayerDecision, tenant: Tenant) -> Outcome:
    match command:
        case CreateEnvironment():
            return create(fleet, command, tenant)
        case RemoveEnvironment():
            return remove_environment(fleet, command)
        case AddLayer():
            return add(fleet, command)
        case ChangeLayer():
            return change(fleet, command)
        case RemoveLayer():
            return remove_layer(fleet, command)
        case _:
            assert_never(command)


def find_environment(fleet: Fleet, name: str) -> Environment | Refusal:
    """Return an environment in which something new may begin."""
    environment = fleet.environments.get(EnvironmentId(name))
    if environment is None:
        return missing("environment", name)
    if environment.state is EnvironmentState.LEAVING:
        return Refusal(
            Code.ENVIRONMENT_LEAVING,
            f"environment {name} is being removed; nothing new begins in it",
            "$.environment",
        )
    return environment


def find_layer(fleet: Fleet, environment: str, layer: str) -> Layer | Refusal:
    """Return a layer in which something new may begin."""
    home = find_environment(fleet, environment)
    if isinstance(home, Refusal):
        return home
    found = fleet.layers.get((home.id, LayerName(layer)))
    if found is None:
        names = ", ".join(home.layers) or "none"
        return Refusal(
            Code.LAYER_NOT_FOUND,
            f"environment {environment} has no layer {layer}; it has: {names}",
            "$.layer",
            {"layers": list(home.layers)},
        )
    if found.leaving:
        return Refusal(
            Code.ENVIRONMENT_LEAVING,
            f"layer {environment}/{layer} is being removed; nothing new begins in it",
            "$.layer",
        )
    return found


def stopped(fleet: Fleet, layer: Layer) -> bool:
    """Say whether the layer stands still with its environment."""
    return fleet.environments[layer.environment].state is EnvironmentState.STOPPED


def standstill(name: EnvironmentId) -> Refusal:
    """Refuse what wants containers that run, in an environment whose containers do not."""
    return Refusal(
        Code.ENVIRONMENT_STOPPED,
        f"environment {name} is stopped; start it first (restow env start {name})",
        "$.environment",
    )


def find_started(fleet: Fleet, environment: str, layer: str) -> Layer | Refusal:
    """Return a layer in which something new may begin, and whose containers are to run."""
    found = find_layer(fleet, environment, layer)
    if not isinstance(found, Refusal) and stopped(fleet, found):
        return standstill(found.environment)
    return found


def create(fleet: Fleet, ask: CreateEnvironment, tenant: Tenant) -> Outcome:
    """Create an environment whole: every container has a host, or nothing was created."""
    name = EnvironmentId(ask.environment)
    if name in fleet.environments:
        return exists(name)
    names = [spec.name for spec in ask.layers]
    twice = next((label for label in names if names.count(label) > 1), None)
    if twice is not None:
        return Refusal(
            Code.LAYER_EXISTS, f"two layers are called {twice}; layer names differ", "$.layers"
        )
    for spec in ask.layers:
        wrong = check_spec(spec, set(ask.groups), "$.layers")
        if wrong is not None:
            return wrong
    created = EnvironmentCreated(name, ask.domain, ask.groups, tenant, next_network(fleet))
    first = fleet.next_number("node")
    facts: list[Event] = [created]
    then: list[Command] = []
    for spec in ask.layers:
        facts.append(LayerAdded(name, LayerName(spec.name), spec))
        then.extend(populate(name, spec, first, spec.count))
        first += spec.count
    return Decision(tuple(facts), tuple(then), Accepted(notices=notices(ask.layers)))


def notices(specs: tuple[LayerSpec, ...]) -> tuple[str, ...]:
    """Return what the asker should know about the layers, though it is no reason to refuse."""
    notes = tuple(note for spec in specs for note in localhost_links(spec.name, spec.variables))
    more = len(notes) - NOTICES_MAX
    return notes if more <= 0 else (*notes[:NOTICES_MAX], f"and {more} more of the kind")


def check_spec(spec: LayerSpec, groups: set[str], path: str) -> Refusal | None:
    """Return what is wrong with a layer in itself."""
    if spec.limit is not None and spec.limit < spec.reserved:
        return Refusal(
            Code.LIMITS_OUT_OF_RANGE,
            f"layer {spec.name}: limit must be {spec.reserved} (reserved) or more,"
            f" got {spec.limit}",
            f"{path}.limit",
            {"reserved": spec.reserved, "limit": spec.limit},
        )
    unknown = sorted(set(spec.groups) - groups)
    if unknown:
        return Refusal(
            Code.REQUEST_INVALID,
            f"layer {spec.name}: group {unknown[0]} is none of its environment's groups"
            f" ({', '.join(sorted(groups)) or 'it has none'})",
            f"{path}.groups",
        )
    return None


def populate(name: EnvironmentId, spec: LayerSpec, first: int, count: int) -> list[Command]:
    """Ask for `count` containers of a layer, the first of which will be node `first`."""
    placing = PlaceContainer(environment=name, layer=spec.name)
    plan = tuple(
        Planned(ContainerId(f"node{number}"), StepKind.START)
        for number in range(first, first + count)
    )
    begin = BeginOperation(
        kind="start",
        environment=name,
        layer=spec.name,
        plan=plan,
        settings=Settings(sequential=False, accept_downtime=True, on_failure="continue"),
    )
    return [*(placing for _ in range(count)), begin]


def place_container(fleet: Fleet, ask: PlaceContainer) -> Outcome:
    """Give a layer one more container, on the host that its policy finds best."""
    layer = fleet.layers[EnvironmentId(ask.environment), LayerName(ask.layer)]
    chosen = place(fleet, wish_for(fleet, layer))
    if isinstance(chosen, Refusal):
        return chosen
    environment = fleet.environments[layer.environment]
    number = fleet.next_number("node")
    placed = ContainerPlaced(
        ContainerId(f"node{number}"),
        layer.environment,
        layer.name,
        layer.next,
        chosen.host,
        layer.spec.reserved,
        layer.limit,
        layer.spec.disk_gib,
        node_name(number, environment.id, environment.domain),
        address(number),
        chosen.why,
    )
    return Decision((placed,))


def address(number: int) -> str:
    """Return the private address of a container: its number within 10.0.0.0/8."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def add(fleet: Fleet, ask: AddLayer) -> Outcome:
    environment = find_environment(fleet, ask.environment)
    if isinstance(environment, Refusal):
        return environment
    spec = ask.layer
    if spec.name in environment.layers:
        return Refusal(
            Code.LAYER_EXISTS,
            f"environment {environment.id} has a layer {spec.name}; scale that one instead",
            "$.layer.name",
        )
    wrong = check_spec(spec, set(environment.groups), "$.layer")
    if wrong is not None:
        return wrong
    then = populate(environment.id, spec, fleet.next_number("node"), spec.count)
    if environment.state is EnvironmentState.STOPPED:
        then = then[:-1]  # placed now, started with all the others
    added = LayerAdded(environment.id, LayerName(spec.name), spec)
    return Decision((added,), tuple(then), Accepted(notices=notices((spec,))))


def change(fleet: Fleet, ask: ChangeLayer) -> Outcome:
    layer = find_layer(fleet, ask.environment, ask.layer)
    if isinstance(layer, Refusal):
        return layer
    spec = replace(
        layer.spec,
        policy=ask.policy or layer.spec.policy,
        variables=layer.spec.variables if ask.variables is None else ask.variables,
        ports=layer.spec.ports if ask.ports is None else ask.ports,
        on_lost=ask.on_lost or layer.spec.on_lost,
    )
    if spec == layer.spec:
        return Decision()
    changed = LayerChanged(layer.environment, layer.name, spec)
    return Decision((changed,), answer=Accepted(notices=notices((spec,))))


def removal(layer: Layer) -> BeginOperation:
    """Ask for the removal of all containers of a layer, at once."""
    plan = tuple(Planned(name, StepKind.REMOVE) for name in layer.containers)
    return BeginOperation(
        kind="remove",
        environment=layer.environment,
        layer=layer.name,
        plan=plan,
        settings=Settings(sequential=False, accept_downtime=True, on_failure="continue"),
    )


def remove_layer(fleet: Fleet, ask: RemoveLayer) -> Outcome:
    layer = fleet.layers.get((EnvironmentId(ask.environment), LayerName(ask.layer)))
    if layer is not None and layer.leaving:
        return leave_again(layer)
    found = find_layer(fleet, ask.environment, ask.layer)
    if isinstance(found, Refusal):
        return found
    return Decision((LayerLeaving(found.environment, found.name),), (removal(found),))


def leave_again(layer: Layer) -> Outcome:
    """Try once more to remove what a failed removal left; nothing while one is under way."""
    if layer.operation is not None or layer.queue:
        return Decision()
    return Decision(then=(removal(layer),))


def remove_environment(fleet: Fleet, ask: RemoveEnvironment) -> Outcome:
    environment = fleet.environments.get(EnvironmentId(ask.environment))
    if environment is None:
        return missing("environment", ask.environment)
    layers = [fleet.layers[environment.id, name] for name in environment.layers]
    idle = [layer for layer in layers if layer.operation is None and not layer.queue]
    if environment.state is EnvironmentState.LEAVING:
        return Decision(then=tuple(removal(layer) for layer in idle))
    facts: list[Event] = [EnvironmentLeaving(environment.id)]
    facts.extend(LayerLeaving(environment.id, layer.name) for layer in layers if not layer.leaving)
    if not layers:
        facts.append(EnvironmentRemoved(environment.id))
    leaving = [layer for layer in layers if not layer.leaving or layer in idle]
    return Decision(tuple(facts), tuple(removal(layer) for layer in leaving))


def gone(fleet: Fleet, layer: Layer) -> tuple[Event, ...]:
    """Return what follows when a leaving layer has lost its last container."""
    if not layer.leaving or layer.containers:
        return ()
    over = (TriggerRemoved(name, layer.environment, layer.name) for name in layer.triggers)
    facts = (*over, LayerRemoved(layer.environment, layer.name))
    environment = fleet.environments[layer.environment]
    last = environment.layers == (layer.name,)
    if last and environment.state is EnvironmentState.LEAVING:
        return (*facts, EnvironmentRemoved(environment.id))
    return facts


def removed(fleet: Fleet, container: Container) -> tuple[Event, ...]:
    """Return what is so when a container is gone: no migration of it, and perhaps no layer.

    Mostly the operation that took it away hears of it; after one that gave up waiting for this
    very answer nobody else would see that a leaving layer has lost its last container.
    """
    facts: list[Event] = [ContainerRemoved(container.id)]
    migration = fleet.migrations.get(container.migration) if container.migration else None
    if migration is not None and container.target is not None:
        reverted = MigrationReverted(
            migration.id, container.id, migration.source, container.target, "it was removed"
        )
        facts.insert(0, reverted)
    layer = fleet.layers[container.environment, container.layer]
    last = layer.containers == (container.id,)
    if last and layer.operation is None and not layer.queue:
        facts.extend(gone(fleet, replace(layer, containers=())))
    return tuple(facts)
