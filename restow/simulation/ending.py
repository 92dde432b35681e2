"""What must be so when a world has come to its end: believed and true alike, nothing left over."""

from collections.abc import Callable, Iterator

from domain.certifier import Certifier
from domain.container import ContainerPlaced
from domain.environment import EnvironmentState
from domain.fleet import Fleet
from domain.messages import ContainerId
from domain.occupancy import Occupancy, occupancy
from domain.operation import Finished, OperationRequested, OperationState, Outcome, StepKind
from domain.wire import chain, decode_frame
from domain.witness import Witness
from restow.simulation.world import World

Ending = Callable[[World], Iterator[str]]


def check_end(world: World) -> None:
    """Check a world that has settled. Raises `ViolationError`."""
    world.check_end()
    wrong = [sentence for ending in ENDINGS for sentence in ending(world)]
    if wrong:
        world.violate(*wrong)


def nothing_is_stuck(world: World) -> None:
    """Check that everything that was begun is over. Raises `ViolationError`."""
    wrong = list(stuck(world))
    if wrong:
        world.violate(*wrong)


def stuck(world: World) -> Iterator[str]:
    """Give what was begun and is not over."""
    fleet = world.fleet
    left: dict[str, object] = {
        "operations": [
            one for one in fleet.operations.values() if one.state is not OperationState.FINISHED
        ],
        "migrations": [one for one in fleet.migrations.values() if not one.finished_at],
        "evacuations": [one for one in fleet.evacuations.values() if not one.finished_at],
        "rebalances": [one for one in fleet.rebalances.values() if not one.finished_at],
        "recoveries": [one for one in fleet.recoveries.values() if not one.finished_at],
        "orders": fleet.orders,
        "waiting": fleet.waiting,
        "deadlines": fleet.deadlines,
        "moving": fleet.moving,
        "growing": fleet.growing,
        "firings": [one for one in fleet.triggers.values() if one.operation],
        "claimed": [one for one in fleet.containers.values() if one.claim or one.deferred],
    }
    for what, those in left.items():
        if those:
            yield f"these {what} are stuck: {those}"


def uncertified(world: World) -> Iterator[str]:
    """Give what a certificate says against a promise, or the witness against a certificate."""
    certifier, witness = Certifier(), Witness()
    for data in world.journal:
        frame, hash_ = decode_frame(data), chain(data)
        witness.see(frame, hash_)
        for one in certifier.take(frame, hash_):
            yield from witness.check(one)
            if not one.holds:
                yield f"{one.subject} left {one.environment}/{one.layer} at zero: {one.zeros}"


def steps_of(fleet: Fleet, container: ContainerId) -> list[Finished]:
    """Return the steps that were about a container, those of older operations first."""
    operations = sorted(fleet.operations.values(), key=lambda one: one.finished_at)
    return [step for one in operations for step in one.over if step.planned.container == container]


def was_placed_alone(world: World, container: ContainerId) -> bool:
    """Say whether no operation came with a container when it was placed: its environment stood.

    It stays also where nobody starts it in the end, or whoever works on its layer next does.
    """
    for commit in world.commits():
        facts = [event.fact for event in commit.events]
        if any(isinstance(f, ContainerPlaced) and f.container == container for f in facts):
            return not any(isinstance(fact, OperationRequested) for fact in facts)
    return False


def left_over(world: World) -> Iterator[str]:
    """Give containers that should be gone, and those that can serve and are not found."""
    for one in world.fleet.containers.values():
        steps = steps_of(world.fleet, one.id)
        failed = any(step.outcome is Outcome.FAILED for step in steps)
        home = world.fleet.environments[one.environment]
        stopped = home.state is EnvironmentState.STOPPED or one.halted
        started = any(step.planned.kind is StepKind.START for step in steps)
        if not stopped and not started and not was_placed_alone(world, one.id):
            yield f"{one.id} was placed and nobody was to start it"
        if failed:
            continue
        if any(step.planned.surge for step in steps):
            yield f"{one.id} was there for a while and was never taken away"
        if one.running and one.healthy and not one.routed:
            yield f"{one.id} serves and is not in DNS"


def miscounted(world: World) -> Iterator[str]:
    """Give what placement believes of the fleet and is not so."""
    believed, so = occupancy(world.fleet), Occupancy(world.fleet)
    for what in ("layers", "environments", "groups"):
        kept = named(believed, getattr(believed, what))
        counted = named(so, getattr(so, what))
        if kept != counted:
            yield f"placement counts {what} as {kept}, they are {counted}"


def named(index: Occupancy, counts: dict[object, dict[int, int]]) -> dict[object, object]:
    """Return counts by the names of hosts; what is empty is left out."""
    hosts = index.hosts
    return {key: {hosts[at]: n for at, n in one.items()} for key, one in counts.items() if one}


def out_of_bounds(world: World) -> Iterator[str]:
    """Give layers that have not as many containers as a trigger keeps, though it could fire."""
    fleet = world.fleet
    for one in fleet.triggers.values():
        layer, home = fleet.layers[one.key], fleet.environments[one.environment]
        count, active = len(layer.containers), home.state is EnvironmentState.ACTIVE
        could = one.enabled and not one.tries and active and not layer.leaving
        if could and not one.rule.min_count <= count <= one.rule.max_count:
            yield f"{one.id} leaves {one.environment}/{one.layer} at {count}: {one.rule}"


ENDINGS: tuple[Ending, ...] = (stuck, uncertified, left_over, miscounted, out_of_bounds)
