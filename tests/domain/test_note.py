"""A note is read as it was written, or refused with the line that is wrong."""

import re
from pathlib import Path

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from domain.merkle import HASH_BYTES, Tree, consistency, inclusion, leaf_hash
from domain.note import COUNT_MAX, Note, NoteError, read_note

NOTE = Note("r1", 57, 812, bytes(range(HASH_BYTES)))
TEXT = """\
restow-note 1
region r1
frames 57
position 812
root 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
sum efbfa1dc
"""


def test_it_is_six_lines():
    assert NOTE.text == TEXT


def test_the_one_in_the_docs_is_one():
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")
    (text,) = re.findall(f"^{TEXT[:13]}.*?(?=^```)", page, re.MULTILINE | re.DOTALL)
    assert read_note(text).text == text


@any_of(
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True),
    st.integers(0, COUNT_MAX),
    st.integers(0, COUNT_MAX),
    st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES),
)
def test_it_is_read_as_it_was_written(region: str, frames: int, position: int, root: bytes):
    note = Note(region, frames, position, root)
    assert read_note(note.text) == note
    assert read_note(f"\n {note.text}".replace("\n", " \r\n")) == note


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (TEXT, "", "line 1 must be 'restow-note 1', not ''"),
        ("note 1", "note 2", "line 1 must be 'restow-note 1', not 'restow-note 2'"),
        ("position 812\n", "", "a note has 6 lines, this has 5"),
        ("frames", "frame", "line 3 must be 'frames', a space and its value, not 'frame 57'"),
        ("frames 57", "frames", "line 3 must be 'frames', a space"),
        ("frames 57", "frames 057", "frames must be 0 to 9007199254740991, as digits alone"),
        ("frames 57", "frames -1", "frames must be 0 to"),
        ("frames 57", "frames 5,700", "not '5,700'"),
        ("812", "9007199254740992", "position must be 0 to 9007199254740991"),
        ("region r1", "region R1", "region must be a-z, 0-9 and inner hyphens, not 'R1'"),
        ("root 00", "root 0", "root must be 64 of 0-9 and a-f"),
        ("root 00", "root 0G", "root must be 64 of 0-9 and a-f"),
        ("57", "75", "sum does not fit, so a line was miscopied"),
        ("0001", "0010", "sum does not fit"),
        ("sum ef", "sum fe", "a line was miscopied: by the others it is efbfa1dc"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, says: str):
    assert old in TEXT
    with pytest.raises(NoteError) as caught:
        read_note(TEXT.replace(old, new, 1))
    assert says in str(caught.value)


def noted(hashes: list[bytes], region: str = "r1") -> Note:
    tree = Tree()
    for one in hashes:
        tree = tree.append(one)
    return Note(region, tree.size, 2 * tree.size, tree.root)


FRAMES = [bytes([number]) * HASH_BYTES for number in range(7)]
LEAVES = [*map(leaf_hash, FRAMES)]


@pytest.mark.parametrize("number", range(1, 8))
def test_a_frame_is_proven_by_a_note(number: int):
    note, path = noted(FRAMES), inclusion(LEAVES, number - 1)
    assert note.has(number, FRAMES[number - 1], path)
    assert not note.has(number, b"another frame", path)
    assert not note.has(number % 7 + 1, FRAMES[number - 1], path)
    assert not noted(FRAMES[:6]).has(number, FRAMES[number - 1], path)


@pytest.mark.parametrize("size", range(1, 8))
def test_a_later_note_is_proven_to_go_on_from_an_earlier_one(size: int):
    early, late = noted(FRAMES[:size]), noted(FRAMES)
    path = consistency(LEAVES, size)
    assert early.grew_into(late, path)
    assert not early.grew_into(noted(FRAMES, region="r2"), path)
    assert not early.grew_into(noted([*FRAMES[:-1], b"another"]), path)
    assert late.grew_into(early, path) == (size == 7)
