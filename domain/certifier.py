"""Makes the certificates of what ended: a fold of the journal, and of nothing else.

It knows no saga and asks no region, only what was reported and confirmed; it shares no code with
those who are to keep the promise, nor with the witness who checks what it says.
"""

from collections.abc import Iterator
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from domain import container as ct
from domain import environment as env
from domain import migration as mv
from domain import operation as op
from domain.certificate import Certificate, Mark, Point, Zero
from domain.decider import Commit, Frame
from domain.environment import LayerKey
from domain.facts import Fact
from domain.marks import AWAY, GENTLE, HALTED, OPERABLE, TAKEN, effect, is_failure, is_well
from domain.messages import ContainerId
from domain.wire import encode_commit

LEAVING = "the layer is to be removed"
SINGLE = "a layer of one container"
UNBORN = "nothing of the layer had served yet"

LATE = (
    ct.ContainerRestarted,
    ct.ContainerRedeployed,
    ct.ContainerHalted,
    ct.ContainerRemoved,
    ct.ContainerUnrouted,
)
"""What a step orders, and what may come true after it gave up: answers can be late."""

STEP, MOVE = "step", "move"
"""What may have a container, both at once if the step leaves it serving."""

Opening = op.OperationRequested | mv.MigrationRequested
Ending = op.OperationFinished | mv.MigrationCompleted | mv.MigrationReverted | mv.MigrationAbandoned


class Held(msgspec.Struct, frozen=True):
    """Since when something has a container, and whether that did not serve then."""

    since: int
    idle: bool


NOBODY = Held(0, idle=False)


class Member:
    """A container of a layer: its marks, whether it ever was operable, the step that has it.

    `held` says from when on a step or a migration has it, and whether it did not serve then, so
    that nothing was taken away; `fell` when it last stopped being well, `given_up` that the last
    step it had failed, `left` since when it had it and whose it was, if downtime was accepted.
    """

    def __init__(self, name: ContainerId, book: "Book", born: int) -> None:
        self.name = name
        self.book = book
        self.born = born
        self.marks = 0
        self.served = False
        self.step = ""
        self.gentle = True
        self.held: dict[str, Held] = {}
        self.fell = 0
        self.given_up = False
        self.left: tuple[int, str] = (0, "")

    @property
    def failed(self) -> bool:
        """Whether it is down though it served before, unless a step or a halt took it down."""
        taken = self.marks & TAKEN and not self.held.get(STEP, NOBODY).idle
        away = self.marks & AWAY and not self.held.get(MOVE, NOBODY).idle
        excused = taken or away or self.marks & HALTED
        return self.served and not is_well(self.marks) and not excused

    @property
    def holder(self) -> Held:
        """Who may keep it from serving; a step beside a migration leaves it serving."""
        return self.held.get(MOVE) or self.held.get(STEP) or NOBODY

    def hold(self, by: str, since: int, *, idle: bool) -> None:
        """Note that a step or a migration has it now, or with `since` 0 no more."""
        if since:
            self.held[by] = Held(since, idle)
        else:
            self.held.pop(by, None)


class Book:
    """What a layer came to. Points and zeros are kept only as long as a window is open on it.

    So is `parted`: by which operation with accepted downtime one was last removed, and where.
    """

    def __init__(self, key: LayerKey, position: int) -> None:
        self.key = key
        self.members: dict[ContainerId, Member] = {}
        self.operable = 0
        self.leaving = False
        self.windows = 0
        self.points: list[Point] = []
        self.zeros: list[Zero] = []
        self.parted: dict[str, int] = {}
        self.zero: Zero | None = Zero(position, 0, (UNBORN,))

    def point(self, position: int) -> Point:
        return Point(position, self.operable, len(self.members))

    def note(self, position: int) -> None:
        """Keep how things are from this position on, if anyone wants to know."""
        if self.windows:
            self.points.append(self.point(position))

    def rise(self, position: int) -> None:
        """One can serve again."""
        if self.zero is not None and self.windows:
            self.zeros.append(replace(self.zero, until=position - 1))
        self.zero = None

    def shut(self) -> None:
        """Forget what no open window needs."""
        self.windows -= 1
        if not self.windows:
            self.points.clear()
            self.zeros.clear()
            self.parted.clear()


class Window(msgspec.Struct):
    """A subject that is not over: where its book stood when it was asked for."""

    subject: str
    kind: str
    book: Book
    first: Point
    points: int
    zeros: int
    container: ContainerId
    frame: Mark | None = None


class Certifier:
    """Takes the journal from its first frame on, and certifies what ends on the way."""

    def __init__(self) -> None:
        self._position = 0
        self._members: dict[ContainerId, Member] = {}
        self._books: dict[LayerKey, Book] = {}
        self._windows: dict[str, Window] = {}
        self._accepted: set[str] = set()
        self._history = sha256()

    def take(self, frame: Frame[Fact], hash_: bytes) -> tuple[Certificate, ...]:
        """Take in the next frame and its hash; return certificates of what ended in it."""
        mark = Mark(frame.position, hash_.hex())
        drafts = [draft for commit in frame.commits for draft in self._commit(commit)]
        for window in self._windows.values():
            window.frame = window.frame or mark
        return tuple(self._signed(draft, mark) for draft in drafts)

    def is_open(self, subject: str) -> bool:
        """Say whether an operation or a migration was asked for and is not over."""
        return subject in self._windows

    def _signed(self, draft: Certificate, last: Mark) -> Certificate:
        first = draft.frames or (last,)
        whole = replace(draft, frames=tuple(dict.fromkeys((*first, last))))
        return replace(whole, digest=sha256(msgspec.msgpack.encode(whole)).hexdigest())

    def _commit(self, commit: Commit[Fact]) -> Iterator[Certificate]:
        drafts: list[Certificate] = []
        for event in commit.events:
            self._position += 1
            self._event(event.fact)
            if isinstance(event.fact, Ending):
                drafts += self._ended(event.fact)
        self._history.update(encode_commit(commit))
        for draft in drafts:
            yield replace(draft, history=self._history.hexdigest())

    def _event(self, fact: Fact) -> None:
        """Take in one event: of layers and containers, of windows, of marks."""
        match fact:
            case env.LayerAdded() | env.LayerRemoved() | env.LayerLeaving():
                self._layer(fact)
            case env.EnvironmentLeaving(environment=name):
                for key, book in self._books.items():
                    book.leaving |= key[0] == name
            case ct.ContainerPlaced() | ct.ContainerRemoved():
                self._member(fact)
            case op.OperationRequested() | mv.MigrationRequested():
                self._asked(fact)
            case op.StepStarted() | op.StepFinished():
                self._step(fact)
            case _:
                self._marked(fact)

    def _layer(self, fact: env.LayerAdded | env.LayerRemoved | env.LayerLeaving) -> None:
        key = (fact.environment, fact.layer)
        if isinstance(fact, env.LayerAdded):
            self._books[key] = Book(key, self._position)
        elif isinstance(fact, env.LayerRemoved):
            self._books.pop(key, None)
        elif key in self._books:
            self._books[key].leaving = True

    def _member(self, fact: ct.ContainerPlaced | ct.ContainerRemoved) -> None:
        if isinstance(fact, ct.ContainerPlaced):
            book = self._books.get((fact.environment, fact.layer))
            if book is not None:
                self._members[fact.container] = Member(fact.container, book, self._position)
                book.members[fact.container] = self._members[fact.container]
                book.note(self._position)
        elif (member := self._members.pop(fact.container, None)) is not None:
            if member.marks == OPERABLE:
                self._fell(member, fact)
            if member.step in self._accepted:
                member.book.parted[member.step] = self._position
            member.book.members.pop(fact.container)
            member.book.note(self._position)

    def _step(self, fact: op.StepStarted | op.StepFinished) -> None:
        member = self._members.get(fact.container)
        if member is not None:
            begins = isinstance(fact, op.StepStarted)
            failed = isinstance(fact, op.StepFinished) and fact.outcome is op.Outcome.FAILED
            member.step = fact.operation if begins else ""
            since = member.held.get(STEP, NOBODY).since
            left = failed and fact.operation in self._accepted and member.marks & ~TAKEN != OPERABLE
            member.left = (since, fact.operation) if left else (0, "")
            member.hold(STEP, self._position if begins else 0, idle=member.marks != OPERABLE)
            member.given_up = failed
            member.gentle = not isinstance(fact, op.StepStarted) or fact.kind in GENTLE
            self._mark(member, fact, (0, TAKEN))

    def _marked(self, fact: Fact) -> None:
        """Set and clear the marks of the container that an event is about."""
        name = getattr(fact, "container", None)
        if isinstance(fact, mv.MigrationPhaseReached) and fact.migration in self._windows:
            name = self._windows[fact.migration].container
        member = self._members.get(name) if name else None
        if member is not None:
            served = member.marks == OPERABLE
            self._mark(member, fact, effect(fact, gentle=member.gentle))
            if isinstance(fact, mv.MigrationGranted | mv.MigrationCompleted | mv.MigrationReverted):
                granted = isinstance(fact, mv.MigrationGranted)
                member.hold(MOVE, self._position if granted else 0, idle=not served)

    def _mark(self, member: Member, fact: Fact, change: tuple[int, int]) -> None:
        before = member.marks
        member.marks = (before | change[0]) & ~change[1]
        if is_well(before) and not is_well(member.marks):
            member.fell = self._position
        if before == OPERABLE != member.marks:
            self._fell(member, fact)
            member.book.note(self._position)
        elif before != OPERABLE == member.marks:
            member.served = True
            member.left = (0, "")
            member.book.operable += 1
            member.book.rise(self._position)
            member.book.note(self._position)

    def _fell(self, member: Member, fact: Fact) -> None:
        """One can serve no more; if it was the last one, note why that is accepted, if it is."""
        member.book.operable -= 1
        if not member.book.operable:
            since = 0 if is_failure(fact) else member.holder.since or self._position
            excuses = set(self._excuses(member.book, since))
            if member.given_up and isinstance(fact, LATE):
                excuses.add(f"late answer about {member.name}")
            if member.holder.idle and not is_failure(fact):
                excuses.add(f"{member.name} did not serve when it was taken")
            member.book.zero = Zero(self._position, 0, tuple(sorted(excuses)))

    def _excuses(self, book: Book, since: int) -> Iterator[str]:
        """Give what is accepted; of failures those that came after `since`.

        One that was there before a step or a migration began must have kept it from beginning, and
        who came after it began cannot have been missed by it.
        """
        if book.leaving:
            yield LEAVING
        if sum(one.born <= (since or self._position) for one in book.members.values()) == 1:
            yield SINGLE
        for name in self._accepted_by(book, since):
            yield f"accepted downtime of {name}"
        for member in book.members.values():
            if member.marks & HALTED:
                yield f"{member.name} was halted"
            if member.failed and member.fell > since:
                yield f"failure of {member.name}"

    def _accepted_by(self, book: Book, since: int) -> Iterator[str]:
        """Give whose accepted downtime it is: who has one, left one down, or removed one."""
        for member in book.members.values():
            if member.step in self._accepted:
                yield member.step
            if member.left[0] > since:
                yield member.left[1]
        yield from (name for name, position in book.parted.items() if 0 < since < position)

    def _asked(self, fact: Opening) -> None:
        moved = ContainerId("")
        if isinstance(fact, op.OperationRequested):
            name, kind = str(fact.operation), fact.kind
            book = self._books.get((fact.environment, fact.layer))
            if fact.settings.accept_downtime or not fact.settings.sequential:
                self._accepted.add(name)
        else:
            name, kind, moved = str(fact.migration), "migrate", fact.container
            member = self._members.get(moved)
            book = member.book if member else None
        if book is not None:
            book.windows += 1
            first = book.point(self._position)
            self._windows[name] = Window(
                name, kind, book, first, len(book.points), len(book.zeros), moved
            )

    def _ended(self, fact: Ending) -> Iterator[Certificate]:
        name, outcome = end_of(fact)
        self._accepted.discard(name)
        window = self._windows.pop(name, None)
        if window is None:
            return
        book, last = window.book, self._position
        timeline = (window.first, *book.points[window.points :])
        least = min(timeline, key=lambda point: point.operable)
        now = (replace(book.zero, until=last),) if book.zero else ()
        yield Certificate(
            subject=name,
            kind=window.kind,
            outcome=outcome,
            environment=book.key[0],
            layer=book.key[1],
            requested=window.first.position,
            finished=last,
            minimum=least.operable,
            minimum_at=least.position,
            timeline=timeline,
            container=window.container,
            zeros=(*book.zeros[window.zeros :], *now),
            frames=(window.frame,) if window.frame else (),
        )
        book.shut()


def end_of(fact: Ending) -> tuple[str, str]:
    """Return what is over, and how it ended."""
    match fact:
        case op.OperationFinished():
            return fact.operation, fact.outcome
        case mv.MigrationCompleted():
            return fact.migration, "completed"
        case mv.MigrationReverted():
            return fact.migration, "reverted"
        case mv.MigrationAbandoned():
            return fact.migration, "abandoned"
