"""Making room on a host: the cheapest chain of live moves after which what is wanted fits there.

Each move goes to an active host where the container fits at that moment; no container moves twice;
a move may itself need room made on its target. Cheapest means fewest cloudlets moved, then fewest
moves. The search goes backwards from the wish, best first: a move is looked at only if it leaves
a host on which a later one arrives. Up to `WIDTH` active hosts it misses nothing.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

import msgspec
import numpy as np

from domain.fleet import Fleet
from domain.ground import Cost, Ground, Moves, Need, NoRoom, Piece, Wants, lacks
from domain.host import HostState
from domain.messages import HostId
from domain.moves import LiveMove
from domain.occupancy import Occupancy, occupancy

MOVES_MAX = 8
"""Moves of one chain."""
LOOKS_MAX = 12_000
"""Chains that one search looks at; then it gives up and says so."""
PROBE_LOOKS_MAX = 1_500
"""Chains looked at for each amount that is tried to find out how much is missing."""
FITS = 2
"""Targets with room looked at for a container, where there are more active hosts than `WIDTH`."""


class Chain(msgspec.Struct, frozen=True):
    """The end of a plan, in order: what is done last. `wants` must be met before it begins."""

    moves: tuple[LiveMove, ...]
    cost: Cost
    wants: Wants


def make_room(fleet: Fleet, need: Need, index: Occupancy | None = None) -> Moves | NoRoom:
    """Return the cheapest chain after which `need` is free, or how much is missing and why.

    `index` is the fleet's occupancy where the caller keeps one of its own.
    """
    ground = Ground(fleet, need, index or occupancy(fleet))
    hopeless = too_little(ground, need)
    if hopeless is not None:
        return hopeless
    found = search(ground, need, LOOKS_MAX)
    if isinstance(found, Moves):
        return found
    short, why = missing(ground, need)
    return NoRoom(short, why, proven=found)


def too_little(ground: Ground, need: Need) -> NoRoom | None:
    """Return what sums alone prove: too little may leave the host, or is free elsewhere."""
    host = ground.fleet.hosts[need.host]
    lack = need.cloudlets - host.free
    if lack <= 0:
        return None
    movable = sum(piece.cloudlets for piece in ground.pieces(host.id))
    if movable < lack:
        why = f"{lack} cloudlets must leave {host.id}, only {movable} may move"
        return NoRoom(lack - movable, why, proven=True)
    own = max(host.free, 0) if host.state is HostState.ACTIVE else 0
    free = int(np.maximum(ground.free, 0).sum()) - own
    if free < lack:
        why = f"{lack} cloudlets must leave {host.id}, all other hosts have {free} free"
        return NoRoom(lack - free, why, proven=True)
    return None


def search(ground: Ground, need: Need, looks: int) -> Moves | bool:
    """Return the cheapest chain; without one, whether it is certain that there is none.

    In a large fleet the count of moves is first taken exactly, then not: chains that move as many
    cloudlets in more moves are found at once.
    """
    if ground.exact:
        return best_first(ground, need, looks, count=True)
    found = best_first(ground, need, looks // 3, count=True)
    return found if found is not False else best_first(ground, need, looks, count=False)


def best_first(ground: Ground, need: Need, looks: int, *, count: bool) -> Moves | bool:
    """Look at up to `looks` chains, the most promising first: fewest cloudlets, then moves."""
    begin = Chain((), (0, 0), lacks(ground, (), need))
    least = at_least(ground, begin)
    if least is None:
        return True
    ground.left = looks
    frontier: list[tuple[Cost, int, int, Chain]] = [(least, 0, 0, begin)]
    seen: set[tuple[object, ...]] = set()
    while frontier and ground.left > 0:
        _, _, _, chain = heappop(frontier)
        if chain.wants.none:
            proven = ground.exact or chain.cost == least
            return Moves(chain.moves, chain.cost[0], proven)
        for longer in extensions(ground, chain, need):
            ground.left -= 1
            rest = at_least(ground, longer)
            if rest is None or longer.cost[1] + rest[1] > MOVES_MAX or is_known(longer, seen):
                continue
            first = (longer.cost[0] + rest[0], (longer.cost[1] + rest[1]) * count)
            heappush(frontier, (first, -len(longer.moves), ground.left, longer))
    return ground.exact and not frontier


def is_known(chain: Chain, seen: set[tuple[object, ...]]) -> bool:
    """Say whether an equally good order of the same moves was looked at already; note this one."""
    wants = chain.wants
    key = (frozenset(chain.moves), frozenset(wants.room.items()), frozenset(wants.mates.items()))
    if key in seen:
        return True
    seen.add(key)
    return False


def extensions(ground: Ground, chain: Chain, need: Need) -> Iterator[Chain]:
    """Give every chain with one more move in front that may help what comes after it."""
    sources = chain.wants.hosts
    if ground.exact:
        sources = tuple(dict.fromkeys((need.host, *(move.target for move in chain.moves))))
    moved = {move.container for move in chain.moves}
    for source in sources:
        for piece in unlike(piece for piece in ground.pieces(source) if piece.id not in moved):
            yield from with_first(ground, chain, piece, need)


def with_first(ground: Ground, chain: Chain, piece: Piece, need: Need) -> Iterator[Chain]:
    """Give the chain with a move of one piece in front, to each target that is worth a look.

    In a large fleet one place to go is as good as the next: `FITS` of them are enough.
    """
    cost = (chain.cost[0] + piece.cloudlets, chain.cost[1] + 1)
    fits = 0
    for target in ground.targets(piece):
        if target == piece.host:
            continue
        move = LiveMove(piece.id, piece.host, target, piece.cloudlets, piece.disk_gib)
        moves = (move, *chain.moves)
        longer = Chain(moves, cost, lacks(ground, moves, need))
        yield longer
        fits += target not in longer.wants.hosts
        if fits == FITS and not ground.exact:
            return


def unlike(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Give one of those pieces of a host that are alike: any of them moves as well as another."""
    known: set[tuple[object, ...]] = set()
    for piece in pieces:
        kind = (piece.cloudlets, piece.disk_gib, piece.hard)
        if kind not in known:
            known.add(kind)
            yield piece


def at_least(ground: Ground, chain: Chain) -> Cost | None:
    """Return what meeting the wants of a chain costs at least, None if it cannot be done."""
    moved = {move.container for move in chain.moves}
    cloudlets, moves = 0, 0
    for host in chain.wants.hosts:
        left = [piece for piece in ground.pieces(host) if piece.id not in moved]
        least = at_least_from(left, chain.wants, host)
        if least is None:
            return None
        cloudlets, moves = cloudlets + least[0], moves + least[1]
    return cloudlets, moves


def at_least_from(left: list[Piece], wants: Wants, host: HostId) -> Cost | None:
    """Return the least that must leave one host, None where that is more than may."""
    cloudlets, disk = wants.room.get(host, (0, 0))
    if disk > sum(piece.disk_gib for piece in left):
        return None
    bounds = [least_sum([piece.cloudlets for piece in left], cloudlets)]
    if disk > 0:
        bounds.append((min(piece.cloudlets for piece in left if piece.disk_gib), 1))
    for (where, group), count in wants.mates.items():
        if where == host:
            mates = sorted(piece.cloudlets for piece in left if group in piece.hard)
            bounds.append((sum(mates[:count]), count) if len(mates) >= count else None)
    known = [bound for bound in bounds if bound is not None]
    return max(known) if len(known) == len(bounds) else None


def least_sum(sizes: list[int], lack: int) -> Cost | None:
    """Return the least sum of some of the sizes that is `lack` or more, and how few they may be."""
    if lack <= 0:
        return (0, 0)
    sums = 1
    for size in sizes:
        sums |= sums << size
    enough = sums >> lack
    if not enough:
        return None
    least = lack + (enough & -enough).bit_length() - 1
    reached, count = 0, 0
    for size in sorted(sizes, reverse=True):
        if reached >= least:
            break
        reached, count = reached + size, count + 1
    return (least, count)


def missing(ground: Ground, need: Need) -> tuple[int, str]:
    """Return how many cloudlets are too many, as far as can be looked, and say so."""
    possible, too_many = max(ground.fleet.hosts[need.host].free, 0), need.cloudlets
    certain = True
    while too_many - possible > 1:
        middle = (possible + too_many) // 2
        less = msgspec.structs.replace(need, cloudlets=middle)
        found = search(ground, less, PROBE_LOOKS_MAX)
        if isinstance(found, Moves):
            possible = middle
        else:
            too_many, certain = middle, certain and found
    short = max(need.cloudlets - possible, 1)
    most = f"at most {possible} of {need.cloudlets} cloudlets can become free on {need.host}"
    if certain and ground.exact:
        return short, f"{most} by {MOVES_MAX} live moves or fewer"
    return short, f"{most}, as far as {LOOKS_MAX:,} chains of live moves were looked at"
