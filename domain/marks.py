"""The marks that a certificate tells a container's state by, and what every event does to them.

They are set by what was reported and confirmed, and by nothing that a saga believes.
"""

from domain import container as ct
from domain import migration as mv
from domain import operation as op
from domain.facts import Fact

RUNNING, HEALTHY, FOUND, TAKEN, FROZEN, HALTED, AWAY = 1, 2, 4, 8, 16, 32, 64
OPERABLE = RUNNING | HEALTHY | FOUND
"""The marks of a container that can serve: these, and no other."""
GENTLE = {op.StepKind.START, op.StepKind.RESIZE}
"""Kinds of steps that leave a container serving; every other one takes it."""
TAKES = {op.Stage.UNROUTING, op.Stage.DRAINING, op.Stage.WORKING}
"""From the first of these stages on a step has its container, until it is over."""
PHASES = {"frozen": (FROZEN, 0), "resumed": (0, FROZEN)}


def is_well(marks: int) -> bool:
    return marks & (RUNNING | HEALTHY) == RUNNING | HEALTHY


def is_failure(fact: Fact) -> bool:
    """Tell whether a container fell by itself: it stopped, or is not well any more."""
    fell_ill = isinstance(fact, ct.ContainerHealthChanged) and not fact.healthy
    return fell_ill or isinstance(fact, ct.ContainerStopped)


def effect(fact: Fact, *, gentle: bool) -> tuple[int, int]:
    """Return the marks that an event sets and those that it clears, of the container it names."""
    match fact:
        case ct.ContainerHealthChanged(healthy=healthy):
            return (HEALTHY, 0) if healthy else (0, HEALTHY)
        case op.StepAdvanced(stage=stage):
            return (TAKEN if stage in TAKES and not gentle else 0), 0
        case mv.MigrationGranted(cold=cold):
            return (AWAY if cold else 0), 0
        case mv.MigrationPhaseReached(phase=phase):
            return PHASES.get(phase, (0, 0))
        case _:
            return EFFECTS.get(type(fact), (0, 0))


EFFECTS: dict[type[Fact], tuple[int, int]] = {
    ct.ContainerStarted: (RUNNING, HALTED),
    ct.ContainerRestarted: (RUNNING, HEALTHY | HALTED),
    ct.ContainerRedeployed: (RUNNING, HEALTHY | HALTED),
    ct.ContainerHalted: (HALTED, RUNNING | HEALTHY),
    ct.ContainerStopped: (0, RUNNING | HEALTHY),
    ct.ContainerRouted: (FOUND, 0),
    ct.ContainerUnrouted: (0, FOUND),
    mv.MigrationCompleted: (0, FROZEN | AWAY),
    mv.MigrationReverted: (0, FROZEN | AWAY),
    mv.MigrationAbandoned: (0, FROZEN),
}
