"""What sagas that move many containers ask of each: may it go now, and the word that it goes."""

import msgspec

from domain.container import Container
from domain.fleet import Fleet
from domain.messages import MIGRATION_DEADLINE_S, Event, Instant, MigrationId
from domain.migration import MigrationRequested
from domain.moving import move_of, word
from domain.offline import cold_word
from domain.placement import Chosen, cannot_move

WHY_MAX = 200
"""Characters of a reason why one container could not go."""


class Obstacle(msgspec.Struct, frozen=True):
    """Why a container does not move now; `lasting` where waiting alone will not help."""

    why: str
    lasting: bool = False


class Manner(msgspec.Struct, frozen=True):
    """How a container is moved, and for whom."""

    live: bool
    reason: str


def held_up(fleet: Fleet, container: Container, *, live: bool) -> Obstacle | None:
    """Say what of the container itself, or of its host, keeps it from going now."""
    if fleet.hosts[container.host].lost:
        return Obstacle(f"host {container.host} is lost", lasting=True)
    if live and fleet.hosts[container.host].unable:
        return Obstacle(cannot_move(fleet.hosts[container.host]), lasting=True)
    if container.migration is not None:
        return Obstacle(f"migration {container.migration} has it")
    if container.claim:
        return Obstacle(f"{container.claim} has it")
    if container.halted:
        return Obstacle("it stands still with its environment; start that first", lasting=True)
    if live and not container.running:
        return Obstacle("it does not run, so it cannot be moved live", lasting=True)
    return None


def depart(
    fleet: Fleet, container: Container, chosen: Chosen, manner: Manner, now: Instant
) -> tuple[MigrationId, tuple[Event, ...]]:
    """Ask for a migration that begins at once, live or cold; return its name, and what is so."""
    migration = MigrationId(f"mv{fleet.next_number('migration')}")
    deadline_ms = MIGRATION_DEADLINE_S * 1_000
    requested = MigrationRequested(
        migration,
        container.id,
        container.host,
        chosen.host,
        deadline_ms,
        Instant(now + deadline_ms),
        reason=manner.reason,
        cold=not manner.live,
    )
    if manner.live:
        move = move_of(container, migration, chosen.host, deadline_ms)
        facts = word(fleet, container, move, chosen.why, now)
    else:
        facts = cold_word(fleet, container, migration, chosen)
    return migration, (requested, *facts)


def clipped(why: str) -> str:
    """Return a reason that is short enough to be said of many containers at once."""
    return why if len(why) <= WHY_MAX else f"{why[: WHY_MAX - 2]} …"
