"""A place in history, and the part of a frame that had happened by then."""

import msgspec
from msgspec.structs import replace

from domain.decider import Commit, Frame
from domain.facts import Fact
from domain.messages import Instant

NUMBER_MAX = 2**53
"""The largest number that every reader of JSON keeps as it is; no position is beyond it."""


class Moment(msgspec.Struct, frozen=True):
    """A place in history: by position, else by time."""

    position: int | None = None
    at: Instant = Instant(0)

    def has(self, commit: Commit[Fact], ends: int) -> bool:
        """Tell whether a commit that ends at position `ends` had happened."""
        return ends <= self.position if self.position is not None else commit.at <= self.at


NOW = Moment(position=NUMBER_MAX)
"""Beyond everything: now, whenever that is."""


def until(frame: Frame[Fact], moment: Moment) -> Frame[Fact]:
    """Return the frame with what had happened by then; a commit has happened as a whole."""
    ends = frame.position - 1
    for number, commit in enumerate(frame.commits):
        ends += len(commit.events)
        if not moment.has(commit, ends):
            return replace(frame, commits=frame.commits[:number])
    return frame
