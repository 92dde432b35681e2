"""The independent checker of certificates: what a history says, by intervals and not by a fold.

Of every container it keeps when each condition of serving turned, cuts the intervals in which all
were true, and lays those of a layer over each other. It shares no code with what made the
certificate, nor with the sagas that are to keep the promise: only the shape of what it compares.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import reduce
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.certificate import Certificate, Point, Zero
from domain.decider import Commit, Frame
from domain.facts import Fact, tag
from domain.lives import (
    CONDITIONS,
    MOVES,
    NEVER,
    STEPS,
    Layer,
    Life,
    Span,
    begun,
    both,
    covers,
    spans,
)
from domain.wire import encode_commit

TURNS: dict[str, tuple[tuple[str, bool], ...]] = {
    "container.started": (("runs", True), ("wanted", True)),
    "container.restarted": (("runs", True), ("healthy", False), ("wanted", True)),
    "container.redeployed": (("runs", True), ("healthy", False), ("wanted", True)),
    "container.halted": (("runs", False), ("healthy", False), ("wanted", False)),
    "container.stopped": (("runs", False), ("healthy", False)),
    "container.routed": (("found", True),),
    "container.unrouted": (("found", False),),
    "operation.step-started": (("left alone", True),),
    "operation.step-finished": (("left alone", True),),
    "migration.completed": (("thawed", True), ("at home", True)),
    "migration.reverted": (("thawed", True), ("at home", True)),
    "migration.abandoned": (("thawed", True),),
}
"""The conditions that an event turns by its name alone."""
CLAIMS = {
    "operation.step-started": True,
    "operation.step-finished": False,
    "migration.granted": True,
    "migration.completed": False,
    "migration.reverted": False,
}
"""Whether an event gives a container to somebody, or gives it back."""
ORDERED = {
    *("container.removed", "container.halted", "container.unrouted"),
    *("container.restarted", "container.redeployed"),
}
"""What comes true because a step ordered it, perhaps after the step gave up."""
ENDS = {
    "migration.completed": "completed",
    "migration.reverted": "reverted",
    "migration.abandoned": "abandoned",
}


class Subject(msgspec.Struct):
    """What a certificate can be about, as the history has it."""

    kind: str
    environment: str
    layer: str
    container: str
    requested: int
    of: Layer | None
    opened: int
    accepted: bool = False
    finished: int = 0
    outcome: str = ""
    closed: int = 0
    history: str = ""


class Witness:
    """Hears a history from its first commit on; then it is asked about certificates of it."""

    def __init__(self) -> None:
        self._position = 0
        self._frame = 0
        self._history = sha256()
        self._hashes: dict[int, str] = {}
        self._versions: dict[str, int] = {}
        self._wrong: list[tuple[int, str]] = []
        self._lives: dict[str, Life] = {}
        self._layers: dict[tuple[str, str], Layer] = {}
        self._subjects: dict[str, Subject] = {}
        self._failures: set[int] = set()
        self._ordered: set[int] = set()
        self._cut: dict[str, list[Span]] = {}

    def see(self, frame: Frame[Fact], hash_: bytes) -> None:
        """Hear all commits of a frame, and remember its hash."""
        self._frame = frame.position
        if frame.commits:
            self._hashes[frame.position] = hash_.hex()
        for commit in frame.commits:
            self.hear(commit)

    def hear(self, commit: Commit[Fact]) -> None:
        """Hear the next commit."""
        self._cut.clear()
        over: list[Subject] = []
        for event in commit.events:
            self._position += 1
            before = self._versions.get(event.stream, 0)
            if event.version != before + 1:
                self._miss(f"{event.stream}: version {event.version} follows {before}")
            self._versions[event.stream] = event.version
            over += self._event(tag(event.fact), event.fact)
        self._history.update(encode_commit(commit))
        for subject in over:
            subject.history = self._history.hexdigest()

    def _miss(self, what: str) -> None:
        self._wrong.append((self._position, what))

    def _event(self, name: str, fact: Any) -> Iterator[Subject]:
        noun, _, what = name.partition(".")
        if noun in {"layer", "environment"}:
            self._place(name, fact)
        elif name in {"container.placed", "container.removed"}:
            self._come_or_go(name, fact)
        elif noun in {"operation", "migration"} and what == "requested":
            self._request(noun, fact)
        elif name in ENDS or name == "operation.finished":
            yield from self._end(name, fact)
        self._turn(name, fact)

    def _place(self, name: str, fact: Any) -> None:
        if name == "layer.added":
            self._layers[key_of(fact)] = Layer(self._position)
        for (environment, layer), one in self._layers.items():
            whole = name == "environment.leaving" and environment == fact.environment
            if whole or (name == "layer.leaving" and (environment, layer) == key_of(fact)):
                one.leaves = min(one.leaves, self._position)

    def _come_or_go(self, name: str, fact: Any) -> None:
        layer = self._layers.get(key_of(fact)) if name == "container.placed" else None
        if layer is not None:
            self._lives[fact.container] = Life(layer, self._position)
            layer.containers.append(fact.container)
        elif name == "container.removed" and fact.container in self._lives:
            self._lives[fact.container].removed = self._position
        else:
            self._miss(f"{name} of {fact.container}, of which nothing is known")

    def _request(self, noun: str, fact: Any) -> None:
        if noun == "operation":
            kind, container, key = fact.kind, "", key_of(fact)
            layer = self._layers.get(key)
            accepted = fact.settings.accept_downtime or not fact.settings.sequential
        else:
            kind, container, accepted = "migrate", fact.container, False
            life = self._lives.get(container)
            layer = life.layer if life else None
            key = next((k for k, one in self._layers.items() if one is layer), ("", ""))
        subject = Subject(kind, *key, container, self._position, layer, self._frame, accepted)
        self._subjects[getattr(fact, noun)] = subject

    def _end(self, name: str, fact: Any) -> Iterator[Subject]:
        subject = self._subjects.get(getattr(fact, name.partition(".")[0]))
        if subject is None or subject.finished:
            self._miss(f"{fact} ends what was not under way")
        else:
            subject.finished, subject.closed = self._position, self._frame
            subject.outcome = ENDS.get(name) or fact.outcome
            yield subject

    def _turn(self, name: str, fact: Any) -> None:
        """Note what an event turns of the container that it is about."""
        container = getattr(fact, "container", "")
        turns = TURNS.get(name, ())
        if name == "container.health-changed":
            turns = (("healthy", fact.healthy),)
        elif name == "migration.granted" and fact.cold:
            turns = (("at home", False),)
        elif name == "migration.phase-reached" and fact.phase in {"frozen", "resumed"}:
            subject = self._subjects.get(fact.migration)
            container = subject.container if subject and not subject.finished else ""
            turns = (("thawed", fact.phase == "resumed"),)
        life = self._lives.get(container)
        if life is None:
            return
        if name == "container.stopped" or turns == (("healthy", False),):
            self._failures.add(self._position)
        if name in ORDERED:
            self._ordered.add(self._position)
        life.turns += [(self._position, condition, true) for condition, true in turns]
        self._step(name, fact, life)

    def _step(self, name: str, fact: Any, life: Life) -> None:
        """Note who works on a container from when on, and from when on it is not left alone."""
        if name in CLAIMS:
            life.claims.append((self._position, name.partition(".")[0], CLAIMS[name]))
        if name == "operation.step-started":
            life.steps.append((self._position, fact.operation, fact.kind))
        elif name == "operation.step-finished":
            life.steps.append((self._position, "", fact.outcome))
        elif name == "operation.step-advanced" and life.steps:
            _, who, kind = life.steps[-1]
            intrusive = who and kind not in {"start", "resize"}
            if intrusive and fact.stage in {"unrouting", "draining", "working"}:
                life.turns.append((self._position, "left alone", False))

    # What it is asked

    def check(self, certificate: Certificate) -> tuple[str, ...]:
        """Return what is not as the history says, in sentences; none where all of it is."""
        return tuple(f"{certificate.subject}: {what}" for what in self._faults(certificate))

    def _faults(self, said: Certificate) -> Iterator[str]:
        if said.digest != digest_of(said):
            yield "its digest is not that of what it says"
        so = self._subjects.get(said.subject)
        if so is None or so.of is None or not so.finished:
            yield "the history has no end of it"
            return
        for at, what in self._wrong:
            if at <= so.finished:
                yield f"at position {at}: {what}"
        for what, by_it, by_history in self._compared(said, so, so.of):
            if by_it != by_history:
                yield f"{what}: it says {by_it}, the history says {by_history}"

    def _compared(
        self, said: Certificate, so: Subject, of: Layer
    ) -> Iterator[tuple[str, Any, Any]]:
        """Give every part of a certificate beside what the history says of it."""
        yield "kind", said.kind, so.kind
        yield "layer", (said.environment, said.layer), (so.environment, so.layer)
        yield "container", said.container, so.container
        yield "outcome", said.outcome, so.outcome
        yield "positions", (said.requested, said.finished), (so.requested, so.finished)
        timeline = tuple(self._timeline(of, so.requested, so.finished))
        yield "timeline", said.timeline, timeline
        least = min((point.operable, point.position) for point in timeline)
        yield "minimum", (said.minimum, said.minimum_at), least
        yield "zeros", said.zeros, tuple(self._zeros(of, so.requested, so.finished))
        yield "history", said.history, so.history
        if self._hashes:
            places = sorted({so.opened, so.closed})
            marks = [(at, self._hashes.get(at, "")) for at in places]
            yield "frames", [(mark.position, mark.hash) for mark in said.frames], marks

    def _timeline(self, layer: Layer, first: int, last: int) -> Iterator[Point]:
        """Lay all intervals over each other: at each border one more or one less."""
        borders: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        for name in layer.containers:
            life = self._lives[name]
            spans = [(start, end, 0) for start, end in self.operable(name)]
            for start, end, column in [*spans, (life.placed, life.removed, 1)]:
                borders[max(start, first)][column] += end > first
                borders[max(end, first)][column] -= end > first
        now = borders.pop(first, [0, 0])
        yield Point(first, *now)
        for position in sorted(borders):
            if position <= last and any(borders[position]):
                now = [a + b for a, b in zip(now, borders[position], strict=True)]
                yield Point(position, *now)

    def _zeros(self, layer: Layer, first: int, last: int) -> Iterator[Zero]:
        """Give the gaps between the intervals of a layer, as far as they touch these positions."""
        everyone = sorted(span for name in layer.containers for span in self.operable(name))
        gap = layer.added
        for start, end in [*everyone, (NEVER, NEVER)]:
            if gap < start and gap <= last and first < start:
                until = min(start - 1, last)
                yield Zero(gap, until, tuple(sorted(set(self._excuses(layer, gap)))))
            gap = max(gap, end)

    def _excuses(self, layer: Layer, at: int) -> Iterator[str]:
        """Give the reasons to accept that a layer fell to none at this position."""
        if at == layer.added:
            yield "nothing of the layer had served yet"
            return
        if layer.leaves < at:
            yield "the layer is to be removed"
        lives = {name: self._lives[name] for name in layer.containers}
        here = {name: one for name, one in lives.items() if one.placed <= at <= one.removed}
        last = next((one for one in here if any(b == at for _, b in self.operable(one))), "")
        claimed = begun(here[last], at) if last else at
        since = 0 if at in self._failures else claimed
        if sum(one.placed <= (since or at) for one in here.values()) == 1:
            yield "a layer of one container"
        if since == claimed < at and not covers(self.operable(last), claimed - 1):
            yield f"{last} did not serve when it was taken"
        for name, life in here.items():
            steps = ((who, what) for when, who, what in life.steps[::-1] if when <= at)
            worker, came_to = next(steps, ("", ""))
            accepted = worker in self._subjects and self._subjects[worker].accepted
            reasons = {
                f"accepted downtime of {worker}": accepted,
                f"{name} was halted": at < life.removed and not covers(spans(life, "wanted"), at),
                f"failure of {name}": since < self._failed(name, at),
            }
            yield from (reason for reason, so in reasons.items() if so)
            yield from self._left_down(name, since, at)
            if name == last and at in self._ordered and (worker, came_to) == ("", "failed"):
                yield f"late answer about {name}"
        yield from (why for one in lives.values() for why in self._removed_for(one, since, at))

    def _removed_for(self, life: Life, since: int, at: int) -> Iterator[str]:
        """Give the accepted downtime that removed a container between two positions."""
        if not 0 < since < life.removed < at:
            return
        worker = next((who for when, who, _ in life.steps[::-1] if when <= life.removed), "")
        if worker in self._subjects and self._subjects[worker].accepted:
            yield f"accepted downtime of {worker}"

    def _left_down(self, name: str, since: int, at: int) -> Iterator[str]:
        """Give an accepted step, begun after `since`, that failed and left it without service."""
        match [step for step in self._lives[name].steps if step[0] <= at][-2:]:
            case [(began, worker, _), (ended, "", "failed")] if worker and began > since:
                served = any(start <= at and end > ended for start, end in self.operable(name))
                if self._subjects[worker].accepted and not served:
                    yield f"accepted downtime of {worker}"
            case _:
                pass

    def _failed(self, name: str, at: int) -> int:
        """Return since when a container that had served was down by itself, or 0."""
        life = self._lives[name]
        served = any(start < at for start, _ in self.operable(name))
        sound = both(spans(life, "runs"), spans(life, "healthy"))
        taken = any(
            not covers(spans(life, free), at)
            and covers(self.operable(name), begun(life, at, holders) - 1)
            for free, holders in (("left alone", STEPS), ("at home", MOVES))
        )
        wanted = covers(spans(life, "wanted"), at)
        if not served or covers(sound, at) or taken or not wanted:
            return 0
        return max((end for _, end in sound if end <= at), default=0)

    def operable(self, name: str) -> list[Span]:
        """Return when a container could serve: the intervals in which every condition was true."""
        if name not in self._cut:
            life = self._lives[name]
            cuts = [spans(life, condition) for condition in CONDITIONS]
            self._cut[name] = reduce(both, cuts)
        return self._cut[name]


def key_of(fact: Any) -> tuple[str, str]:
    return fact.environment, fact.layer


def digest_of(certificate: Certificate) -> str:
    """Return the SHA-256 of a certificate with no digest in it."""
    return sha256(msgspec.msgpack.encode(replace(certificate, digest=""))).hexdigest()


def check(certificate: Certificate, commits: Iterable[Commit[Fact]]) -> tuple[str, ...]:
    """Return what a certificate says that the history does not, in sentences; none is good.

    `commits` are those of the journal from its first one on, at least to the end of the subject.
    """
    witness = Witness()
    for commit in commits:
        witness.hear(commit)
    return witness.check(certificate)
