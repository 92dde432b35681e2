"""The whole journal replayed from its first frame, by nobody's word but the journal's own.

The reader verifies sequence, positions and hash chain, the region the versions of its streams; here
everything else is looked at: one answer to each ask, and every invariant after every commit. Two
replays must end alike. Nothing is taken from a checkpoint, a view, or a process that runs.
"""

from contextlib import aclosing

import msgspec
from msgspec.structs import replace

from domain.certificate import Certificate
from domain.certifier import Certifier
from domain.decider import Commit, Frame
from domain.facts import Fact
from domain.image import to_image
from domain.invariants import INVARIANTS, broken
from domain.messages import AskId, Refusal
from domain.region import BrokenHistoryError, Region
from domain.subjects import Subjects
from domain.witness import Witness
from handlers.bus import Address, close, connect
from handlers.journal.reader import Head, JournalDamagedError, read
from projections.operability import Availability, Operability
from restow.noting import Held

FAULTS_MAX = 20
"""Faults that are told; after so many nothing is learned from more."""


class Fault(msgspec.Struct, frozen=True):
    """What is not as it must be, and the position after which it was seen."""

    position: int
    what: str


class Kept(msgspec.Struct, frozen=True):
    """How many containers of a layer were operable at least, since first all of them served.

    `unexcused` is the least that came of a fall which nobody had accepted; `excuses` are the
    others: a layer of one container, a simultaneous operation, a failure.
    """

    environment: str
    layer: str
    containers: int
    minimum: int
    of: int
    minimum_at: int
    unexcused: int
    excuses: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found. `good` is what the exit code says.

    `certificates` were made, of each operation and migration that is over; `holding` were found
    right by the witness and say that a container was always operable, but for what was excused.
    `hash` is that of the last frame, `root` that of the Merkle tree over all of them.
    """

    frames: int
    epochs: int
    position: int
    asks: int
    refused: int
    invariants: int
    checks: int
    layers: tuple[Kept, ...] = ()
    faults: tuple[Fault, ...] = ()
    hash: str = ""
    certificates: int = 0
    holding: int = 0
    root: str = ""

    @property
    def good(self) -> bool:
        return not self.faults


class Checker:
    """Takes in frames one after another, and remembers what is wrong with them."""

    def __init__(self) -> None:
        self._region = Region()
        self._again = Region()
        self._operability = Operability()
        self._asks: set[AskId] = set()
        self._frames = 0
        self._refused = 0
        self._checks = 0
        self._faults: list[Fault] = []
        self._certifier = Certifier()
        self._witness = Witness()
        self._certificates: list[Certificate] = []

    def take(self, frame: Frame[Fact], hash_: bytes) -> None:
        """Take in the next frame, and its hash."""
        self._frames += 1
        self._again.absorb(frame)
        self._operability.take(frame)
        self._region.absorb(replace(frame, commits=()))
        for commit in frame.commits:
            self._region.absorb(replace(frame, commits=(commit,)))
            self._look_at(commit)
        self._certificates += self._certifier.take(frame, hash_)
        self._witness.see(frame, hash_)

    def _look_at(self, commit: Commit[Fact]) -> None:
        if commit.ask in self._asks:
            self._fault(f"ask {commit.ask} was answered twice")
        self._asks.add(commit.ask)
        self._refused += isinstance(commit.answer, Refusal)
        self._checks += len(INVARIANTS)
        for sentence in broken(self._region.fleet):
            self._fault(sentence)

    def _fault(self, what: str, position: int = 0) -> None:
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(Fault(position or self._region.position, what))

    def verdict(self, head: Head) -> Verdict:
        """Say what was found, the whole journal having been read up to `head`."""
        if to_image(self._region) != to_image(self._again):
            self._fault("two replays of the same frames ended differently")
        if head.position != self._region.position:
            self._fault(
                f"the journal ends at {head.position}, its events at {self._region.position}"
            )
        return self._so_far(head)

    def broken_off(self, head: Head, error: JournalDamagedError | BrokenHistoryError) -> Verdict:
        """Say what was found up to `head`; what follows it cannot be replayed."""
        self._faults.insert(0, Fault(head.position + 1, str(error)))
        return self._so_far(head)

    def _so_far(self, head: Head) -> Verdict:
        layers = [line for line in self._operability.lines() if line.since]
        for line in layers:
            if not line.never_zero:
                self._fault(f"layer {line.environment}/{line.layer} had no operable container")
        holding = sum(map(self._holds, self._certificates))
        return Verdict(
            frames=self._frames,
            epochs=head.epoch,
            position=self._region.position,
            asks=len(self._asks),
            refused=self._refused,
            invariants=len(INVARIANTS),
            checks=self._checks,
            layers=tuple(map(kept, layers)),
            faults=tuple(self._faults),
            hash=head.hash.hex(),
            certificates=len(self._certificates),
            holding=holding,
        )

    def _holds(self, certificate: Certificate) -> bool:
        """Have a certificate checked, and say whether it is right and the promise was kept."""
        wrong = self._witness.check(certificate)
        where = f"{certificate.environment}/{certificate.layer}"
        for sentence in wrong:
            self._fault(f"certificate of {sentence}", certificate.finished)
        for zero in certificate.zeros:
            if not zero.excuses:
                fell = f"{certificate.subject}: nothing of {where} was operable"
                self._fault(f"certificate of {fell} from {zero.since} to {zero.until}", zero.since)
        return certificate.holds and not wrong


def kept(line: Availability) -> Kept:
    """Return what is told of a layer."""
    return Kept(
        environment=line.environment,
        layer=line.layer,
        containers=line.containers,
        minimum=line.minimum,
        of=line.of,
        minimum_at=line.minimum_at,
        unexcused=line.unexcused,
        excuses=line.excuses,
    )


async def check(address: Address, prefix: str, held: Held | None = None) -> Verdict:
    """Replay the journal as it is now, `held` against a note. Raises `BusUnavailableError`."""
    held = held or Held(Subjects(prefix))
    bus = await connect(address, name="restow audit verify")
    try:
        checker, head = Checker(), Head()
        try:
            async with aclosing(read(bus, Subjects(prefix), head)) as frames:
                async for after, frame in frames:
                    held.passed(after)
                    checker.take(frame, after.hash)
                    head = after
            held.over()
        except (JournalDamagedError, BrokenHistoryError) as error:
            verdict = checker.broken_off(head, error)
        else:
            verdict = checker.verdict(head)
        return replace(verdict, root=held.tree.root.hex())
    finally:
        await close(bus)
