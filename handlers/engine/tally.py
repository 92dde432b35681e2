"""What an engine counts while it leads: a few numbers, added to as frames are stored."""

from collections import Counter
from collections.abc import Sequence

from domain.decider import Commit
from domain.facts import Fact
from domain.messages import Accepted, Refusal, Unchanged
from domain.meters import Durations


class Tally:
    """Counts since the process began; an engine that leads again goes on counting."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.frames = 0
        self.events = 0
        self.storing = Durations()
        self.bugs = 0
        self.turned_away = 0
        self.orders_sent = 0
        self.elections = 0

    def stored(self, commits: Sequence[Commit[Fact]], seconds: float) -> None:
        """Count a frame that is stored, and what was answered in it."""
        self.frames += 1
        self.storing.add(seconds)
        for commit in commits:
            self.events += len(commit.events)
            answer = commit.answer
            if isinstance(answer, Refusal):
                self.refused[answer.code.value] += 1
            else:
                self.answers[WORDS[type(answer)]] += 1


WORDS = {Accepted: "done", Unchanged: "unchanged"}
"""What an answer that is no refusal is counted as."""
