"""What must be so when a world has come to its end: believed and true alike, nothing left over."""

from domain.operation import OperationState
from restow.simulation.violation import ViolationError
from restow.simulation.world import World


def check_end(world: World) -> None:
    """Check a world that has settled. Raises `ViolationError`."""
    world.check_end()
    nothing_is_stuck(world)


def nothing_is_stuck(world: World) -> None:
    """Check that everything that was begun is over. Raises `ViolationError`."""
    fleet = world.fleet
    left: dict[str, object] = {
        "operations": [
            one for one in fleet.operations.values() if one.state is not OperationState.FINISHED
        ],
        "migrations": [one for one in fleet.migrations.values() if not one.finished_at],
        "evacuations": [one for one in fleet.evacuations.values() if not one.finished_at],
        "orders": fleet.orders,
        "waiting": fleet.waiting,
        "deadlines": fleet.deadlines,
        "moving": fleet.moving,
        "claimed": [one for one in fleet.containers.values() if one.claim or one.deferred],
    }
    stuck = {what: those for what, those in left.items() if those}
    if stuck:
        raise ViolationError(world.story(f"these are stuck: {stuck}"))
