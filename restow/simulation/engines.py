"""The engines of a world and their journal: one leads, is killed, forgets, or is replaced.

After every event of every frame the invariants and the promises are checked, on a region that only
ever reads the journal. Who was replaced goes on as if it led until the journal refuses its frame.
"""

from collections.abc import Sequence
from random import Random
from typing import NoReturn, Protocol, cast

from domain.chronicle import evolve
from domain.decider import Ask, Commit, Frame
from domain.facts import Fact
from domain.image import from_image, to_image
from domain.invariants import broken, broken_by
from domain.messages import Instant
from domain.parts import Touched, names_of
from domain.region import Region
from domain.wire import FRAME_VERSION, chain, decode_frame, encode_frame
from restow.simulation.machines import Nature
from restow.simulation.promises import Promises, answered_well
from restow.simulation.violation import WENT_WRONG

FRAMES_MAX = 10_000
"""A world that has written so many frames never comes to its end."""


class Stage(Protocol):
    """What engines need of the world they are in."""

    now: Instant
    nature: Nature

    def dice(self, purpose: str) -> Random: ...

    def note(self, *what: object) -> None: ...

    def violate(self, *wrong: str) -> NoReturn: ...

    def begun_anew(self) -> None:
        """An engine leads that knows the journal, and no more."""
        ...


class Engines:
    """`region` is the leader's, `shadow` that of a reader. `kills` and `lost` are frame numbers."""

    def __init__(self, stage: Stage, kills: Sequence[int], lost: Sequence[int]) -> None:
        self._stage = stage
        self._kills = set(kills)
        self._lost = set(lost)
        self.region = Region()
        self.region.epoch = 1
        self.shadow = Region()
        self._names = names_of(self.shadow.fleet)
        self.journal: list[bytes] = []
        self.epoch = 1
        self.promises = Promises()
        self._replaced: Region | None = None

    def _roll(self, purpose: str, chance: float) -> bool:
        return chance > 0 and self._stage.dice(purpose).random() < chance

    def put(self, ask: Ask) -> Commit[Fact]:
        """Decide an ask, journal it as a frame of its own, and check everything."""
        number = len(self.journal)
        nature = self._stage.nature
        if number in self._lost or self._roll(f"forget {number} {ask.id}", nature.forget):
            self.region.decide(ask, self._stage.now)
            self._stage.note(f"        ENGINE KILLED before {ask.id} was stored")
            self._begin_again()
        commit = self._of_replaced(ask) or self._decide(self.region, ask)
        if number in self._kills or self._roll(f"kill {number}", nature.kill):
            self.kill()
        if self._roll(f"takeover {number}", nature.takeover):
            self.take_over()
        return commit

    def _decide(self, region: Region, ask: Ask) -> Commit[Fact]:
        prev = chain(self.journal[-1]) if self.journal else b""
        position, epoch = region.position + 1, region.epoch
        try:
            commit = region.decide(ask, self._stage.now)
        except WENT_WRONG as error:
            self._stage.violate(f"{ask}: {error!r}")
        frame: Frame[Fact] = Frame(FRAME_VERSION, epoch, position, prev, (commit,))
        if not is_fenced(epoch, self.epoch):
            self._check(tuple(answered_well(self.shadow.fleet, ask, commit)))
            self._append(frame)
        return commit

    def _of_replaced(self, ask: Ask) -> Commit[Fact] | None:
        """Let the old leader answer, if it still believes that it leads; its frame is refused."""
        if self._replaced is None or self._stage.dice(f"whom {ask.id}").random() < 0.5:
            return None
        region, self._replaced = self._replaced, None
        before = len(self.journal)
        commit = self._decide(region, ask)
        self._stage.note(f"        THE OLD LEADER was asked {ask.id}")
        return commit if len(self.journal) > before else None

    def _append(self, frame: Frame[Fact]) -> None:
        if len(self.journal) >= FRAMES_MAX:
            self._stage.violate(f"{FRAMES_MAX:,} frames and no end")
        data = encode_frame(frame)
        self.journal.append(data)
        self._watch(decode_frame(data))

    def _watch(self, frame: Frame[Fact]) -> None:
        """Read a frame as every reader does, and check all that must be so."""
        if frame.position != self.shadow.position + 1:
            self._stage.violate(f"position {frame.position} after {self.shadow.position}")
        for commit in frame.commits:
            said = type(commit.answer).__name__
            self._stage.note(commit.at, commit.ask, commit.command, said)
            self._check(tuple(self.promises.asked(self.shadow, commit)))
            for event in commit.events:
                self._happened(commit, event.stream, event.version, event.fact)
            self.shadow.remember(commit)
            self._check(tuple(self.promises.not_woken(self.shadow.fleet)))
            self._check(tuple(self.promises.stalled(self.shadow.fleet)))
        self.shadow.epoch = frame.epoch

    def _happened(self, commit: Commit[Fact], stream: str, version: int, fact: Fact) -> None:
        self._stage.note(f"        {stream}@{version}", fact)
        fleet = self.shadow.fleet
        if version != self.shadow.versions.get(stream, 0) + 1:
            self._stage.violate(f"{stream} has no version before {version}")
        self._check(broken_by(fleet, fact))
        self._check(tuple(self.promises.broken_by(fleet, fact, commit.at)))
        fleet.try_out()
        try:
            evolve(fleet, fact, commit.at)
        except WENT_WRONG as error:
            self._stage.violate(f"{fact}: {error!r}")
        self.shadow.versions[stream] = version
        self._check(broken(fleet, Touched(fleet, self._names)))
        fleet.keep()

    def _check(self, wrong: tuple[str, ...]) -> None:
        if wrong:
            self._stage.violate(*wrong)

    def kill(self) -> None:
        """Kill the engine: what it knew is gone, and is read from the journal again."""
        self._stage.note("        ENGINE KILLED")
        known = state_of(self.region)
        self._begin_again()
        if state_of(self.region) != known:
            self._stage.violate("an engine that was killed knows something else now")

    def _begin_again(self) -> None:
        region = Region()
        for data in self.journal:
            region.absorb(decode_frame(data))
        region.epoch = self.epoch
        self.region = from_image(to_image(region))
        self._stage.begun_anew()

    def take_over(self) -> None:
        """Let a standby lead: it reads to the end, and appends the frame that is the fence."""
        self._stage.note("        A STANDBY TAKES OVER")
        self._replaced = self.region
        self._begin_again()
        self.epoch += 1
        position = self.region.position + 1
        prev = chain(self.journal[-1])
        fence: Frame[Fact] = Frame(FRAME_VERSION, self.epoch, position, prev, ())
        self._append(fence)
        self.region.absorb(fence)


def is_fenced(epoch: int, newest: int) -> bool:
    """Say whether the server refuses a frame of this epoch: it appends those of the newest only."""
    return epoch < newest


def state_of(region: Region) -> dict[str, object]:
    """Return all that a region knows, in a form that two regions can be compared by."""
    tables: dict[str, object] = {
        name: cast("object", value)
        for name, value in vars(region.fleet).items()
        if isinstance(value, dict)
    }
    known = [*region.answers.commands(), *region.answers.own()]
    return tables | {"position": region.position, "versions": region.versions, "answers": known}
