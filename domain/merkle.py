"""A Merkle tree as RFC 6962 has it: one hash for all leaves in order, and short proofs about it.

A leaf is hashed behind 0x00, two halves behind 0x01, so that neither can be taken for the other. A
tree of n leaves is split at the largest power of two below n. Of a growing tree only its peaks are
kept: the roots of its full halves, of which there are no more than n has binary digits.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

HASH_BYTES = 32
LEAF, NODE = b"\x00", b"\x01"
EMPTY = sha256(b"").digest()
"""The root of a tree without leaves."""

Path = tuple[bytes, ...]
"""A proof: the hashes that are needed beside those one has, the lowest first."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that holds `data`."""
    return sha256(LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two halves, given theirs."""
    return sha256(NODE + left + right).digest()


class Tree(msgspec.Struct, frozen=True):
    """A tree that grows at its end: how many leaves it has, and its peaks, the largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, data: bytes) -> "Tree":
        """Return the tree with one more leaf, which holds `data`."""
        return self.grown(leaf_hash(data))

    def grown(self, leaf: bytes) -> "Tree":
        """Return the tree with one more leaf, of which the hash is given."""
        peaks, hash_, full = self.peaks, leaf, self.size
        while full & 1:
            hash_ = node_hash(peaks[-1], hash_)
            peaks = peaks[:-1]
            full >>= 1
        return Tree(self.size + 1, (*peaks, hash_))

    @property
    def root(self) -> bytes:
        """The hash of all leaves in their order, 32 bytes."""
        if not self.peaks:
            return EMPTY
        *others, hash_ = self.peaks
        for peak in reversed(others):
            hash_ = node_hash(peak, hash_)
        return hash_


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaves, of which the hashes are given."""
    tree = Tree()
    for leaf in leaves:
        tree = tree.grown(leaf)
    return tree.root


def inclusion(leaves: Sequence[bytes], index: int) -> Path:
    """Return the proof that a leaf (from 0) is where it is, made from the hashes of all leaves.

    `includes` checks it. Raises `IndexError`.
    """
    if not 0 <= index < len(leaves):
        message = f"leaf {index} of {len(leaves)}"
        raise IndexError(message)
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low = middle
    return tuple(reversed(path))


def consistency(leaves: Sequence[bytes], size: int) -> Path:
    """Return the proof that the tree of the first `size` leaves grew into that of all of them.

    It is made from the hashes of all leaves; `extends` checks it. Raises `IndexError`.
    """
    if not 0 <= size <= len(leaves):
        message = f"{size} leaves of {len(leaves)}"
        raise IndexError(message)
    if size == 0:
        return ()
    path: list[bytes] = []
    low, high, known = 0, len(leaves), True
    while size != high:
        middle = low + _split(high - low)
        if size <= middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low, known = middle, False
    if not known:
        path.append(root_of(leaves[low:high]))
    return tuple(reversed(path))


def _split(count: int) -> int:
    """Return the largest power of two below `count`, which is 2 at least."""
    return 1 << (count - 1).bit_length() - 1


def includes(root: bytes, size: int, index: int, leaf: bytes, path: Path) -> bool:
    """Tell whether `path` proves that the leaf at `index` of a tree has the hash `leaf`."""
    if not 0 <= index < size:
        return False
    place, last, hash_ = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            hash_ = node_hash(beside, hash_)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, beside)
        place, last = place >> 1, last >> 1
    return last == 0 and hash_ == root


def extends(root: bytes, size: int, new_root: bytes, new_size: int, path: Path) -> bool:
    """Tell whether `path` proves that the larger tree begins with all leaves of the smaller one."""
    if size in {0, new_size}:
        return not path and root == (new_root if size else EMPTY)
    if not (0 < size < new_size and path):
        return False
    whole = (root, *path) if size & (size - 1) == 0 else path
    place, last = size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = whole[0]
    for beside in whole[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(beside, old), node_hash(beside, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, beside)
        place, last = place >> 1, last >> 1
    return last == 0 and old == root and new == new_root
