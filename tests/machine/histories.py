"""A journal in memory, keyframes of it close together, and what reaches its moments."""

from pathlib import Path

from domain.decider import Frame
from domain.facts import Fact
from projections.keyframes import Keyframes, Scene, scene_of
from projections.reaching import Framing, Reaching
from projections.reads import Reads
from tests.projections.journal import MemoryJournal

CLOSE_US = 300.0
"""So far apart are keyframes here: every ten frames or so."""


class History:
    """A journal, its keyframes, and what reaches its moments."""

    def __init__(self, frames: tuple[Frame[Fact], ...], folder: Path) -> None:
        self.frames = frames
        self.journal = MemoryJournal(frames)
        self.keyframes = Keyframes(folder)
        self.reaching = Reaching(self.journal, self.keyframes)

    async def framed(self) -> "History":
        """Read the journal from its start, as the read side does, and keep keyframes."""
        framing, reads = Framing(self.keyframes), Reads()
        for frame in self.frames:
            reads.take(frame)
            await framing.passed(reads, frame)
        return self


def everything(reads: Reads) -> Scene:
    """Return all that there is at a moment and goes on then; the frame is of no account."""
    return scene_of(reads, Frame(1, 1, 1, b"", ()))
