"""Which few live moves make a fleet most even: each is possible in its turn, and evens by itself.

Where the fleet is small every order of moves is tried, alike containers once. Elsewhere the move
that evens most is taken, again and again, among containers and hosts that are likely: those of
uneven layers and of the most loaded hosts, to the least loaded hosts of each zone. Of what is as
even in the end, fewest cloudlets are moved; no container moves twice. Equal fleets give equal
plans.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import islice

import msgspec

from domain.availability import may_move
from domain.container import Container
from domain.environment import LayerKey
from domain.evenness import LOAD_GAP, Board, Gain, Weight, is_spread, rank
from domain.fleet import Fleet
from domain.messages import ContainerId, HostId, number_of
from domain.moves import LiveMove
from domain.occupancy import Occupancy, occupancy
from domain.rebalance import Evenness, Goal, Scope

SMALL = 16
"""Hosts up to which every container and every target is looked at."""
LOOKS_MAX = 20_000
"""Moves that are looked at when every order is tried; then the search gives up."""
PILES_MAX = 2_000
"""Piles of alike containers that are looked at in a large fleet."""
HOT = 32
"""Most loaded hosts whose containers are looked at for the load alone."""
COLD = 24
"""Least loaded hosts of each zone that are looked at as targets."""
TARGETS_MAX = 128


Order = tuple[Gain, int, HostId]
"""What steps are compared by: what they change, then cloudlets, then the target."""


class Wanted(msgspec.Struct, frozen=True):
    """What a rebalance is to be: at most so many moves, for what, and between which hosts."""

    budget: int
    goal: Goal
    scope: Scope


class Balance(msgspec.Struct, frozen=True):
    """The moves, in an order in which each is possible; how even it is before and after them.

    `best`: no other moves within the budget end more even, or as even with fewer cloudlets moved.
    `why` says why there are none.
    """

    moves: tuple[LiveMove, ...]
    before: Evenness
    after: Evenness
    best: bool
    why: str = ""

    @property
    def cloudlets(self) -> int:
        return sum(move.cloudlets for move in self.moves)


class Pile(msgspec.Struct, frozen=True):
    """Containers of one host that are alike: any of them moves as well as another."""

    at: int
    weight: Weight
    containers: tuple[ContainerId, ...]


class Step(msgspec.Struct, frozen=True):
    """A move on the board: which of a pile goes where, and what that changes."""

    pile: int
    target: int
    gain: Gain


def balance(fleet: Fleet, wanted: Wanted, index: Occupancy | None = None) -> Balance:
    """Return the moves that make the fleet most even within the budget.

    `index` is the fleet's occupancy where the caller keeps one of its own.
    """
    board = Board(fleet, wanted.scope, index or occupancy(fleet))
    search = Search(board, wanted)
    before = board.evenness()
    steps, best = search.run()
    moves = search.told(steps)
    search.play(steps)
    after = board.evenness()
    why = "" if moves else why_none(board, search, before)
    return Balance(moves, before, after, best, why)


def why_none(board: Board, search: "Search", before: Evenness) -> str:
    """Say why no move is worth it."""
    if len(board.hosts) <= 1:
        return f"{len(board.hosts)} hosts of the scope take containers; two are needed"
    state = (
        f"{before.uneven} layers are uneven, hosts are loaded"
        f" {before.least} to {before.most} percent"
    )
    if search.barred:
        return (
            f"{search.barred} containers would make it more even elsewhere, where there is no room"
            f" for them, or one that they keep apart from ({state}); add a host, or uncordon one"
        )
    return (
        f"no single move of what may move now makes it more even: {state}"
        f" (a move for load alone wants {LOAD_GAP} points between two hosts)"
    )


class Search:
    """Looks for the best moves on a board; what it tries it takes back."""

    def __init__(self, board: Board, wanted: Wanted) -> None:
        self._board = board
        self._budget = wanted.budget
        self._goal = wanted.goal
        self._small = len(board.hosts) <= SMALL
        self._piles = tuple(piles(board, small=self._small))
        self._targets = board.hosts if self._small else tuple(cold(board))
        self._left = LOOKS_MAX
        self._seen: set[frozenset[tuple[tuple[int, int], int]]] = set()
        self._barred: set[int] = set()

    def run(self) -> tuple[tuple[Step, ...], bool]:
        """Return the best steps that were found, and whether none are better."""
        quick = self._greedily()
        if not self._small:
            return quick, not quick and not self._piles
        self._best: tuple[Gain, int, int] = self._value(quick)
        self._found = quick
        self._try_all(())
        return self._found, self._left > 0

    def _value(self, steps: tuple[Step, ...]) -> tuple[Gain, int, int]:
        """Return what steps come to: what they change, cloudlets, moves; less is better."""
        gains = [step.gain for step in steps]
        total = tuple(map(sum, zip(*gains, strict=True))) if gains else (0,) * 6
        cloudlets = sum(self._piles[step.pile].weight.cloudlets for step in steps)
        return rank(self._goal, total), cloudlets, len(steps)

    # One after another

    def _greedily(self) -> tuple[Step, ...]:
        """Take the best step, again and again; a pile is looked at again when its turn comes."""
        steps: list[Step] = []
        while len(steps) < self._budget:
            found = self._sweep(steps)
            if not found:
                break
        for step in reversed(steps):
            self._back(step)
        return tuple(steps)

    def _sweep(self, steps: list[Step]) -> int:
        """Put every pile in order by its best step, and take steps while there are any."""
        taken = [sum(step.pile == number for step in steps) for number in range(len(self._piles))]
        heap: list[tuple[Order, int, Step]] = []
        for number in range(len(self._piles)):
            self._offer(heap, number, taken[number])
        heapify(heap)
        before = len(steps)
        while heap and len(steps) < self._budget:
            key, number, _ = heappop(heap)
            now = self._step(number, taken[number])
            if now is None:
                continue
            if self._order(now) != key:
                heappush(heap, (self._order(now), number, now))
                continue
            self._forth(now)
            steps.append(now)
            taken[number] += 1
            self._offer(heap, number, taken[number])
        return len(steps) - before

    def _offer(self, heap: list[tuple[Order, int, Step]], number: int, taken: int) -> None:
        step = self._step(number, taken)
        if step is not None:
            heappush(heap, (self._order(step), number, step))

    def _order(self, step: Step) -> Order:
        weight = self._piles[step.pile].weight
        return rank(self._goal, step.gain), weight.cloudlets, self._board.name(step.target)

    def _step(self, number: int, taken: int) -> Step | None:
        """Return the best step of the next container of a pile, if one is worth it."""
        if taken >= len(self._piles[number].containers):
            return None
        steps = list(self._steps(number))
        return min(steps, key=self._order, default=None)

    def _steps(self, number: int) -> Iterator[Step]:
        """Give every step of a pile that is possible and worth it."""
        pile, board = self._piles[number], self._board
        for target, gain in board.gains(pile.weight, pile.at, self._targets):
            if not board.is_worth(self._goal, gain, pile.at, target):
                continue
            if board.fits(pile.weight, target):
                yield Step(number, target, gain)
            else:
                self._barred.add(number)

    def _forth(self, step: Step) -> None:
        pile = self._piles[step.pile]
        self._board.move(pile.weight, pile.at, step.target)

    def _back(self, step: Step) -> None:
        pile = self._piles[step.pile]
        self._board.move(pile.weight, step.target, pile.at)

    # Every order

    def _try_all(self, steps: tuple[Step, ...]) -> None:
        """Try every step after `steps`, and all that may follow it."""
        if len(steps) == self._budget:
            return
        taken = [step.pile for step in steps]
        for number, pile in enumerate(self._piles):
            if taken.count(number) == len(pile.containers):
                continue
            for step in list(self._steps(number)):
                self._left -= 1
                if self._left <= 0:
                    return
                self._try(steps, step)

    def _try(self, steps: tuple[Step, ...], step: Step) -> None:
        longer = (*steps, step)
        name = frozenset(Counter((one.pile, one.target) for one in longer).items())
        if name in self._seen:
            return
        self._seen.add(name)
        value = self._value(longer)
        if value < self._best:
            self._best, self._found = value, longer
        self._forth(step)
        self._try_all(longer)
        self._back(step)

    # What was found

    @property
    def barred(self) -> int:
        """How many containers would make it more even, and fit nowhere where they would."""
        return sum(len(self._piles[number].containers) for number in self._barred)

    def told(self, steps: tuple[Step, ...]) -> tuple[LiveMove, ...]:
        """Return steps as moves of containers, the oldest of each pile first."""
        ready = {number: iter(self._piles[number].containers) for number in {s.pile for s in steps}}
        name = self._board.name
        return tuple(
            LiveMove(
                next(ready[step.pile]),
                name(self._piles[step.pile].at),
                name(step.target),
                self._piles[step.pile].weight.cloudlets,
                self._piles[step.pile].weight.disk_gib,
            )
            for step in steps
        )

    def play(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self._forth(step)


# Whom to look at


def piles(board: Board, *, small: bool) -> Iterator[Pile]:
    """Give the piles that are looked at, those of the most uneven layers first."""
    likely = None if small else Likely(board)
    alike: defaultdict[tuple[int, int, Weight], list[ContainerId]] = defaultdict(list)
    place, within = board.index.place, board.within
    for one in board.fleet.containers.values():
        at = place[one.host]
        if at not in within or not movable(board, one):
            continue
        first = likely.first(one, at) if likely else 0
        if first < NEVER_MIND and may_move(board.fleet, one):
            alike[first, at, board.weight(one)].append(one.id)
    found = sorted(alike, key=lambda key: (key[0], board.name(key[1]), order_of(key[2])))
    for key in islice(found, PILES_MAX):
        yield Pile(key[1], key[2], tuple(sorted(alike[key], key=number_of)))


def order_of(weight: Weight) -> tuple[LayerKey, int, int]:
    return weight.kind.key, weight.cloudlets, weight.disk_gib


def movable(board: Board, one: Container) -> bool:
    """Say whether a container is of the scope, and not where it is on purpose."""
    mine = board.scope.environment in (None, one.environment)
    return mine and is_spread(board.fleet.layers[one.environment, one.layer])


NEVER_MIND = 4


class Likely:
    """Which containers of a large fleet are likely to be moved: of what is uneven, or loaded."""

    def __init__(self, board: Board) -> None:
        self._board = board
        hosts = sorted(board.hosts, key=lambda at: (-board.room(at).percent, board.name(at)))
        self._hot = frozenset(hosts[:HOT])

    def first(self, one: Container, at: int) -> int:
        """Return how early a container is to be looked at, `NEVER_MIND` for not at all."""
        board = self._board
        layer = (one.environment, one.layer)
        if board.counts("layers", layer).get(at, 0) > 1:
            return 0
        zones = board.zones("layers", layer)
        if zones[board.index.zone_of(at)] > 1 and len(board.index.zones) > 1:
            return 1
        if board.counts("environments", one.environment).get(at, 0) > 1:
            return 2
        return NEVER_MIND - 1 if at in self._hot else NEVER_MIND


def cold(board: Board) -> Iterator[int]:
    """Give the least loaded hosts of each zone, so that each zone has its turn."""
    hosts = sorted(board.hosts, key=lambda at: (board.room(at).percent, board.name(at)))
    turns: defaultdict[int, int] = defaultdict(int)
    found: list[tuple[int, int]] = []
    for number, at in enumerate(hosts):
        zone = board.index.zone_of(at)
        if turns[zone] < COLD:
            found.append((turns[zone], number))
        turns[zone] += 1
    for _, number in sorted(found)[:TARGETS_MAX]:
        yield hosts[number]
