"""`restow demo`: a fleet at work on this machine, and the proof of what was shown."""

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from restow.demo.story import Play, play


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Stage:
    """How the demo is played."""

    keep: bool = False
    """Stay up at the end, to try things."""
    seed: int = 1
    """What durations are drawn from."""
    data: Path | None = None
    """Where to keep everything; without it, a directory that is removed at the end."""
    speed: float = 2.0
    """How much faster than real ones the simulated hosts are."""


USUAL = Stage()


async def demo(*, stage: Stage = USUAL) -> int:
    """Show a fleet at work: 12 hosts, 3 zones, one environment; then prove what was shown.

    Everything is real but the containers: NATS, engines, agents, and the kill -9 in the middle.
    Ends with 0 only if all that it prints is true.
    """
    return await play(Play(keep=stage.keep, seed=stage.seed, data=stage.data, speed=stage.speed))
