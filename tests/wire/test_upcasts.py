"""An old shape is read as today's fact: tried with one that never was."""

import operator
from functools import reduce

import msgspec
import pytest

from domain import wire
from domain.decider import Commit, Frame, Recorded
from domain.facts import FACTS, tag
from domain.host import HostCordoned, HostRemoved
from domain.messages import AskId, Event, HostId, Instant, Unchanged
from domain.upcasts import LEGACY, Old
from domain.wire import FRAME_VERSION, decode_fact, decode_frame, modernised


class HostClosed(Event, frozen=True, gc=False, tag="host.closed"):
    """As if a host had once been closed by someone, and was cordoned for a reason only later."""

    host: HostId
    by: str

    def upcast(self) -> Event:
        return HostCordoned(self.host, f"closed by {self.by}")


OLD = HostClosed(HostId("h1"), "alice")
NEW = HostCordoned(HostId("h1"), "closed by alice")


def frame(*facts: Event) -> Frame[Event]:
    events = tuple(Recorded("host.h1", n, fact, "/0") for n, fact in enumerate(facts, 1))
    commit = Commit(AskId("a"), "alice", "x", Instant(5), Unchanged(), events)
    return Frame(FRAME_VERSION, 1, 1, b"prev", (commit,))


@pytest.fixture
def remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the wire know the old shape, as a line in `upcasts.LEGACY` would."""
    legacy = (*LEGACY, HostClosed)
    union = reduce(operator.or_, FACTS + legacy)
    monkeypatch.setattr(wire, "LEGACY", legacy)
    monkeypatch.setattr(wire, "_decoder", msgspec.msgpack.Decoder(Frame[union]))  # type: ignore[valid-type]
    monkeypatch.setattr(wire, "_fact_decoder", msgspec.msgpack.Decoder(union))


@pytest.mark.usefixtures("remembers")
class TestAnOldShape:
    def test_in_a_frame_becomes_todays(self) -> None:
        data = msgspec.msgpack.encode(frame(OLD, HostRemoved(HostId("h1"))))

        assert decode_frame(data) == frame(NEW, HostRemoved(HostId("h1")))

    def test_alone_becomes_todays(self) -> None:
        assert decode_fact(msgspec.msgpack.encode(OLD)) == NEW

    def test_todays_shapes_stay_as_they_are(self) -> None:
        assert decode_fact(msgspec.msgpack.encode(NEW)) == NEW


def test_everything_around_a_fact_stays_as_it_is() -> None:
    (old,), (new,) = frame(OLD).commits, modernised(frame(OLD)).commits

    assert msgspec.structs.replace(old, events=new.events) == new
    (event,) = new.events
    assert (event.stream, event.version, event.asked) == ("host.h1", 1, "/0")


def test_only_an_old_shape_can_be_upcast() -> None:
    assert isinstance(OLD, Old)
    assert not isinstance(NEW, Old)


def test_every_old_shape_says_what_it_is_today() -> None:
    legacy: tuple[type[Event], ...] = LEGACY

    assert all(hasattr(shape, "upcast") for shape in legacy)
    assert not {tag(shape) for shape in legacy} & {tag(fact) for fact in FACTS}


def test_what_is_read_today_needs_no_upcast() -> None:
    assert not [fact for fact in FACTS if hasattr(fact, "upcast")]
