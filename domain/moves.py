"""What sagas have in common that move containers: a live move, and what became of a container."""

from enum import StrEnum

import msgspec

from domain.messages import ContainerId, HostId


class LiveMove(msgspec.Struct, frozen=True, gc=False):
    """One live move: what it takes along, and from where to where."""

    container: ContainerId
    source: HostId
    target: HostId
    cloudlets: int
    disk_gib: int = 0


class MoveOutcome(StrEnum):
    """What became of a container. `gone`: it is no more; `left`: its saga was stopped.

    `skipped`: moving it had become pointless, or impossible, and was not tried.
    """

    MOVED = "moved"
    FAILED = "failed"
    GONE = "gone"
    LEFT = "left"
    SKIPPED = "skipped"


class Ended(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of one container, and why where it did not move."""

    container: ContainerId
    outcome: MoveOutcome
    target: HostId | None = None
    detail: str = ""
