"""A journal in memory, and a hand that writes frames of facts into it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from domain.decider import Commit, Frame, Recorded
from domain.facts import Fact, tag
from domain.messages import Accepted, Answer, AskId, Instant
from projections.feed import last_position

NOON = Instant(1_700_000_000_000)


def stream_of(fact: Fact) -> str:
    """Return the stream that a fact belongs to."""
    noun = tag(fact).partition(".")[0]
    noun = {"layer": "environment", "order": "container"}.get(noun, noun)
    return f"{noun}.{getattr(fact, noun)}"


class Book:
    """Writes frames; versions and positions follow by themselves."""

    def __init__(self) -> None:
        self.frames: list[Frame[Fact]] = []
        self.position = 0
        self.asks = 0
        self.clock = NOON
        self.versions: dict[str, int] = {}

    def commit(
        self, *facts: Fact, ask: str = "", answer: Answer | None = None, command: str = "host.rate"
    ) -> Commit[Fact]:
        """Return a commit of these facts, a second after the one before."""
        self.asks += 1
        self.clock = Instant(self.clock + 1_000)
        return Commit(
            AskId(ask or f"ask-{self.asks}"),
            "operator",
            "",
            self.clock,
            answer or Accepted(),
            tuple(self.recorded(fact) for fact in facts),
            command,
        )

    def recorded(self, fact: Fact) -> Recorded[Fact]:
        stream = stream_of(fact)
        self.versions[stream] = self.versions.get(stream, 0) + 1
        return Recorded(stream, self.versions[stream], fact)

    def frame(self, *commits: Commit[Fact]) -> Frame[Fact]:
        """Return the next frame, of these commits."""
        frame = Frame(1, 1, self.position + 1, b"", commits)
        self.position += sum(len(commit.events) for commit in commits)
        self.frames.append(frame)
        return frame

    def say(self, *facts: Fact, **more: object) -> Frame[Fact]:
        """Return the next frame, of one commit with these facts."""
        return self.frame(self.commit(*facts, **more))  # type: ignore[arg-type]


class MemoryJournal:
    """Keeps the promise of `Frames`; a head is a count of frames."""

    def __init__(self, frames: Sequence[Frame[Fact]] = ()) -> None:
        self.frames = list(frames)
        self.followed_from: list[int] = []
        self._news = asyncio.Condition()

    async def write(self, *frames: Frame[Fact]) -> None:
        async with self._news:
            self.frames.extend(frames)
            self._news.notify_all()

    async def before(self, position: int) -> int | None:
        ends = [last_position(frame) for frame in self.frames]
        return sum(end <= position for end in ends) or None

    async def end(self) -> int:
        return last_position(self.frames[-1]) if self.frames else 0

    async def follow(self, after: int | None) -> AsyncGenerator[tuple[int, Frame[Fact]]]:
        done = after or 0
        self.followed_from.append(done)
        while True:
            async with self._news:
                while len(self.frames) <= done:
                    await self._news.wait()
            for frame in self.frames[done:]:
                done += 1
                yield done, frame
