"""Bytes of every event ever released are read as what they meant, and meant the same since."""

from pathlib import Path

import msgspec
import pytest

from domain.facts import FACTS, tag
from domain.upcasts import LEGACY
from domain.wire import decode_fact, decode_frame, encode_fact, encode_frame
from tests.wire import samples as made_of_types
from tests.wire.samples import GOLDEN, goldens, kept, samples, write_missing

FRAME = "frame"
FILES = sorted(path.stem for path in GOLDEN.iterdir() if path.stem != FRAME)


def said(value: object) -> object:
    """Return what a fact or a frame says, as the golden files say it."""
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize("name", FILES)
class TestEveryFile:
    def test_is_read_as_what_it_meant(self, name: str) -> None:
        golden = kept(name)

        assert said(decode_fact(golden.data)) == golden.says

    def test_is_written_again_as_something_that_means_the_same(self, name: str) -> None:
        fact = decode_fact(kept(name).data)

        assert decode_fact(encode_fact(fact)) == fact


def test_the_frame_is_read_as_what_it_meant() -> None:
    golden = kept(FRAME)

    frame = decode_frame(golden.data)

    assert said(frame) == golden.says[FRAME]
    assert decode_frame(encode_frame(frame)) == frame


def test_every_event_has_a_file() -> None:
    missing = {name for name, _ in samples()} - set(FILES)

    assert not missing, "python -m tests.wire.samples"


def test_every_file_is_of_an_event_that_is_still_read() -> None:
    tags = {tag(fact) for fact in (*FACTS, *LEGACY)}

    assert {".".join(name.split(".")[:2]) for name in FILES} == tags


def test_a_sample_has_every_field_set() -> None:
    for name, fact in samples():
        unset = [
            field.name
            for field in msgspec.structs.fields(fact)
            if field.default is not msgspec.NODEFAULT
            and getattr(fact, field.name) == field.default
            and not isinstance(field.default, bool)
        ]
        assert not unset, name


def test_what_is_there_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_of_types, "GOLDEN", tmp_path)
    write_missing()
    path = tmp_path / "host.removed.json"
    path.write_bytes(b"as it was")

    write_missing()

    assert path.read_bytes() == b"as it was"
    assert len(list(tmp_path.iterdir())) == len(list(goldens()))
