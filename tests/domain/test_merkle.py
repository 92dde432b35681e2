"""One hash for all leaves in order; whoever changes anything below it changes it, too."""

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from domain.merkle import (
    EMPTY,
    HASH_BYTES,
    Path,
    Tree,
    consistency,
    extends,
    includes,
    inclusion,
    leaf_hash,
    node_hash,
    root_of,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""The vectors that implementations of RFC 6962 have in common: of the first 0 to 8 leaves."""

some = st.lists(st.binary(max_size=40), max_size=70)
few = st.lists(st.binary(max_size=8), min_size=1, max_size=20)


def grown(leaves: list[bytes]) -> Tree:
    tree = Tree()
    for leaf in leaves:
        tree = tree.append(leaf)
    return tree


def by_the_book(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = max(2**power for power in range(8) if 2**power < len(leaves))
    return node_hash(by_the_book(leaves[:split]), by_the_book(leaves[split:]))


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_the_known_vectors(size: int):
    assert grown(LEAVES[:size]).root.hex() == ROOTS[size]


def test_the_known_proofs():
    hashes = [*map(leaf_hash, LEAVES)]
    assert [one.hex() for one in inclusion(hashes, 5)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [one.hex() for one in consistency(hashes, 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@any_of(some)
def test_a_tree_that_grew_is_as_by_the_book(leaves: list[bytes]):
    tree = grown(leaves)
    assert tree.root == by_the_book(leaves) == root_of([*map(leaf_hash, leaves)])
    assert tree.size == len(leaves)
    assert len(tree.peaks) == len(leaves).bit_count()


def test_what_is_a_node_is_no_leaf():
    left, right = map(leaf_hash, LEAVES[:2])
    assert grown([left + right]).root != grown(LEAVES[:2]).root


@any_of(few, st.data())
def test_any_flipped_bit_is_noticed(leaves: list[bytes], data: st.DataObject):
    place = data.draw(st.integers(0, len(leaves) - 1))
    altered = [*leaves]
    for bit in range(8 * len(leaves[place])):
        flipped = bytearray(leaves[place])
        flipped[bit // 8] ^= 1 << bit % 8
        altered[place] = bytes(flipped)
        assert grown(altered).root != grown(leaves).root


@any_of(st.lists(st.binary(max_size=8), min_size=2, max_size=20, unique=True), st.data())
def test_what_is_dropped_added_swapped_or_cut_off_is_noticed(
    leaves: list[bytes], data: st.DataObject
):
    one = data.draw(st.integers(0, len(leaves) - 2))
    other = data.draw(st.integers(one + 1, len(leaves) - 1))
    dropped = leaves[:one] + leaves[one + 1 :]
    twice = leaves[: one + 1] + leaves[one:]
    swapped = [*leaves]
    swapped[one], swapped[other] = swapped[other], swapped[one]
    roots = {grown(all_).root for all_ in (leaves, dropped, twice, swapped, leaves[:other])}
    assert len(roots) == 5 - (dropped == leaves[:other])


@any_of(few)
def test_every_leaf_can_be_proven(leaves: list[bytes]):
    hashes, root = [*map(leaf_hash, leaves)], grown(leaves).root
    for index, leaf in enumerate(hashes):
        path = inclusion(hashes, index)
        assert includes(root, len(leaves), index, leaf, path)
        assert len(path) <= (len(leaves) - 1).bit_length()


def bent(path: Path) -> list[Path]:
    """Return proofs that are not quite this one."""
    paths: list[Path] = [(*path, EMPTY), (EMPTY, *path)]
    for place, one in enumerate(path):
        for byte in range(HASH_BYTES):
            wrong = bytearray(one)
            wrong[byte] ^= 1 << byte % 8
            paths.append((*path[:place], bytes(wrong), *path[place + 1 :]))
        paths.append(path[:place] + path[place + 1 :])
    return paths


@any_of(st.lists(st.binary(max_size=8), min_size=1, max_size=20, unique=True), st.data())
def test_nothing_else_is_proven_by_it(leaves: list[bytes], data: st.DataObject):
    hashes, root, size = [*map(leaf_hash, leaves)], grown(leaves).root, len(leaves)
    index = data.draw(st.integers(0, size - 1))
    leaf, path = hashes[index], inclusion(hashes, index)
    assert not any(includes(root, size, index, leaf, wrong) for wrong in bent(path))
    assert not includes(root, size, index, leaf_hash(b"another one"), path)
    assert not any(
        includes(root, size, other, leaf, path) for other in range(size) if other != index
    )
    assert not includes(root, size, -1, leaf, path)
    assert not includes(root, size, size, leaf, path)
    assert not includes(EMPTY, size, index, leaf, path)


@any_of(few, st.data())
def test_a_tree_that_grew_can_be_proven_to_begin_as_it_was(
    leaves: list[bytes], data: st.DataObject
):
    size = data.draw(st.integers(0, len(leaves)))
    old, new = grown(leaves[:size]).root, grown(leaves).root
    path = consistency([*map(leaf_hash, leaves)], size)
    assert extends(old, size, new, len(leaves), path)
    assert not any(extends(old, size, new, len(leaves), wrong) for wrong in bent(path))


@any_of(st.lists(st.binary(max_size=8), min_size=2, max_size=20, unique=True), st.data())
def test_a_tree_that_was_changed_cannot(leaves: list[bytes], data: st.DataObject):
    size = data.draw(st.integers(1, len(leaves)))
    place = data.draw(st.integers(0, size - 1))
    old = grown(leaves[:size]).root
    changed = [*leaves]
    changed[place] = b"something else"
    new = grown(changed).root
    hashes = [*map(leaf_hash, changed)]
    for honest in (consistency(hashes, size), consistency([*map(leaf_hash, leaves)], size)):
        assert not extends(old, size, new, len(leaves), honest)
    assert not extends(new, len(leaves), old, size, consistency(hashes, size)) or old == new


@pytest.mark.parametrize("size", [-1, 4])
def test_what_is_not_there_has_no_proof(size: int):
    with pytest.raises(IndexError, match=f"{size} leaves of 3"):
        consistency(LEAVES[:3], size)
    with pytest.raises(IndexError, match=f"leaf {size} of 3"):
        inclusion(LEAVES[:3], size)
