"""Frames: written, chained, read again; what is damaged is no frame."""

import msgspec
import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from domain.decider import Commit, Frame, Recorded
from domain.facts import Fact
from domain.host import HostRemoved
from domain.messages import Accepted, AskId, Code, HostId, Instant, Refusal, Unchanged
from domain.wire import (
    FRAME_VERSION,
    GENESIS,
    DamagedFrameError,
    chain,
    count_events,
    decode_frame,
    encode_commit,
    encode_fact,
    encode_frame,
    size_of,
)
from tests.wire.samples import samples

SAMPLES = dict(samples())
REMOVED = HostRemoved(HostId("h1"))

answers = st.one_of(
    st.builds(Accepted, operation=st.text(max_size=5), version=st.integers(0, 9)),
    st.builds(Unchanged, version=st.integers(0, 9)),
    st.builds(Refusal, code=st.sampled_from(Code), detail=st.text(max_size=20)),
)
events = st.builds(
    Recorded,
    stream=st.just("host.h1"),
    version=st.integers(1, 99),
    fact=st.sampled_from(list(SAMPLES.values())),
    asked=st.sampled_from(["", "/0", "/0/1"]),
)
commits = st.builds(
    Commit,
    ask=st.text(min_size=1, max_size=9),
    actor=st.text(max_size=5),
    cause=st.just(""),
    at=st.integers(0, 2**53),
    answer=answers,
    events=st.lists(events, max_size=4).map(tuple),
    fingerprint=st.binary(max_size=8),
)
frames = st.builds(
    Frame,
    version=st.just(FRAME_VERSION),
    epoch=st.integers(0, 9),
    position=st.integers(1, 99),
    prev=st.binary(max_size=32),
    commits=st.lists(commits, max_size=4).map(tuple),
)


def frame(*recorded: Recorded[Fact]) -> Frame[Fact]:
    commit = Commit(AskId("a"), "alice", "", Instant(5), Accepted(), recorded)
    return Frame(FRAME_VERSION, 2, 7, b"prev", (commit,))


@any_of(frames)
def test_a_frame_is_read_as_it_was_written(one: Frame[Fact]) -> None:
    assert decode_frame(encode_frame(one)) == one


def test_the_bytes_of_a_frame_are_for_ever() -> None:
    event: Recorded[Fact] = Recorded("host.h1", 3, REMOVED, "/0")

    assert encode_frame(frame(event)).hex() == (
        "9501"  # an array of five: the version of frames,
        "0207c40470726576"  # the epoch, the position of the first event, the hash before,
        "91"  # one commit:
        "9a"  # an array of ten:
        "a161a5616c696365a005"  # ask, actor, cause, time,
        "81a474797065a86163636570746564"  # the answer, a tagged map without what is as usual,
        "9194a7686f73742e68310382a174ac686f73742e72656d6f766564a4686f7374a26831a22f30"  # events,
        "a0a0c400a0"  # command, tenant, fingerprint, reason
    )


def test_a_frame_without_what_was_added_later_is_read() -> None:
    short = [FRAME_VERSION, 1, 1, b"", [["a", "alice", "", 5, {"type": "unchanged"}, []]]]

    (commit,) = decode_frame(msgspec.msgpack.encode(short)).commits

    assert (commit.command, commit.tenant, commit.fingerprint, commit.reason) == ("", "", b"", "")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a frame"),
        (b"\xc1", "not a frame"),
        (encode_frame(frame())[:-1], "not a frame"),
        (msgspec.msgpack.encode([FRAME_VERSION, 1]), "not a frame"),
        (msgspec.msgpack.encode([FRAME_VERSION, 1, 1, b"", [{}]]), "not a frame"),
        (msgspec.msgpack.encode([FRAME_VERSION + 1, 1, 1, b"", []]), "frame of version 2"),
    ],
)
def test_what_is_damaged_or_too_new_is_no_frame(data: bytes, said: str) -> None:
    with pytest.raises(DamagedFrameError, match=said):
        decode_frame(data)


def test_an_event_that_is_not_known_is_no_frame() -> None:
    strange = Recorded("host.h1", 1, {"t": "host.exploded"})
    one = Frame(
        FRAME_VERSION, 1, 1, b"", (Commit(AskId("a"), "", "", Instant(0), Unchanged(), (strange,)),)
    )

    with pytest.raises(DamagedFrameError, match=r"host\.exploded"):
        decode_frame(msgspec.msgpack.encode(one))


def test_frames_are_chained_by_the_hash_of_their_bytes() -> None:
    data = encode_frame(frame())

    assert len(chain(data)) == 32
    assert chain(data) == chain(bytes(data))
    assert chain(data) != chain(data[:-1] + b"?")
    assert GENESIS == b""


def test_sizes_and_counts() -> None:
    event: Recorded[Fact] = Recorded("host.h1", 3, REMOVED)
    (commit,) = frame(event, event).commits

    assert count_events([commit, commit]) == 4
    assert size_of(Unchanged(), ()) < 20
    assert size_of(Unchanged(), (event, event)) > 2 * len(encode_fact(event.fact))
    assert size_of(Refusal(Code.REQUEST_INVALID, "x" * 100), ()) > 100
    assert encode_commit(commit) in encode_frame(frame(event, event))
