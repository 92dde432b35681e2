"""The feed: the frames of the journal, in order, for those who show what they say.

`Frames` is the port; the journal's reader keeps its promise, `restow` puts the two together.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec

from domain.decider import Commit, Frame, Recorded
from domain.facts import Fact

H = TypeVar("H")
"""The place of a frame in the journal, to go on from; what it is is the reader's affair."""

H_contra = TypeVar("H_contra", contravariant=True)


class Frames(Protocol[H]):
    """Reads the journal."""

    def follow(self, after: H | None) -> AsyncGenerator[tuple[H, Frame[Fact]]]:
        """Yield every verified frame after `after` (None: from the first), then those to come.

        `after` is None or a head that this reader yielded before. Any number may follow at once.
        """
        ...

    async def before(self, position: int) -> H | None:
        """Return the newest head without an event beyond `position`; None: from the first."""
        ...

    async def end(self) -> int:
        """Return the position of the last event that is written now."""
        ...


class Auditor(Protocol):
    """Keeps a record of all events of its own, with its own checkpoint."""

    async def take_many(self, frames: Sequence[Frame[Fact]]) -> None:
        """Take in frames that follow each other; those it has already are passed over."""
        ...


class Noter(Protocol[H_contra]):
    """Holds the journal against what is known of it from elsewhere."""

    def passed(self, head: H_contra) -> None:
        """Take note of the next frame, from the first on; raises where it is not as it was."""
        ...


class FeedError(ValueError):
    """A frame does not follow the one before it."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An event, where it stands in the journal, and the commit that it belongs to."""

    position: int
    commit: Commit[Fact]
    event: Recorded[Fact]


def last_position(frame: Frame[Fact]) -> int:
    """Return the position of the last event written once this frame is."""
    return frame.position - 1 + sum(len(commit.events) for commit in frame.commits)


def placed(frame: Frame[Fact], after: int = 0) -> Iterator[Placed]:
    """Return the frame's events beyond position `after`, in order."""
    position = frame.position
    for commit in frame.commits:
        for event in commit.events:
            if position > after:
                yield Placed(position, commit, event)
            position += 1
