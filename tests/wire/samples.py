"""A sample of every event, made from its type, and the golden files that keep its bytes.

`python -m tests.wire.samples` writes the files that are missing. It never changes one: bytes once
released are read for ever (`domain/upcasts.py`).
"""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from domain.decider import Commit, Frame, Recorded
from domain.facts import FACTS, Fact, tag
from domain.messages import Accepted, AskId, Event, Instant, Tenant
from domain.wire import FRAME_VERSION, encode_fact, encode_frame

GOLDEN = Path(__file__).parent / "golden"
AT = Instant(1_790_000_000_000)


class Golden(msgspec.Struct, frozen=True):
    """Bytes of one event as they were first written, in hexadecimal, and what they say."""

    hex: str
    says: dict[str, Any]

    @property
    def data(self) -> bytes:
        return bytes.fromhex(self.hex)


def samples() -> Iterator[tuple[str, Fact]]:
    """Give an event of every kind, and one of every work that an order may have."""
    for shape in FACTS:
        info = inspect.type_info(shape)
        assert isinstance(info, inspect.StructType)
        works = [field for field in info.fields if is_choice(field.type)]
        if not works:
            yield tag(shape), made(shape, {})
        for field in works:
            assert isinstance(field.type, inspect.UnionType)
            for choice in field.type.types:
                assert isinstance(choice, inspect.StructType)
                yield f"{tag(shape)}.{choice.tag}", made(shape, {field.name: value(choice)})


def made(shape: type[Event], given: dict[str, Any]) -> Fact:
    said = value(inspect.type_info(shape)) | given
    return msgspec.convert(said, shape)  # type: ignore[return-value]


def is_choice(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.UnionType) and all(
        isinstance(one, inspect.StructType) for one in kind.types
    )


def value(kind: inspect.Type) -> Any:
    """Return something that a field of this type may hold."""
    match kind:
        case inspect.Metadata(type=inner):
            return value(inner)
        case inspect.StructType():
            said = {field.encode_name: value(field.type) for field in kind.fields}
            return said | ({kind.tag_field: kind.tag} if kind.tag_field else {})
        case inspect.UnionType(types=types):
            return value(next(one for one in types if not isinstance(one, inspect.NoneType)))
        case inspect.EnumType(cls=cls):
            return list(cls)[-1].value
        case inspect.LiteralType(values=values):
            return values[-1]
        case _:
            return several(kind)


def several(kind: inspect.Type) -> Any:
    match kind:
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return [value(item)]
        case inspect.TupleType(item_types=items):
            return [value(item) for item in items]
        case inspect.DictType(key_type=key, value_type=held):
            return {value(key): value(held)}
        case _:
            return plain(kind)


def plain(kind: inspect.Type) -> Any:
    match kind:
        case inspect.BoolType():
            return True
        case inspect.IntType(ge=least):
            return max(17, int(least or 0))
        case inspect.FloatType():
            return 1.5
        case inspect.StrType():
            return "node17"
        case inspect.BytesType():
            return b64encode(b"node17").decode()
        case _:
            raise NotImplementedError(kind)


def frame(fact: Fact) -> Frame[Fact]:
    """Return a frame with every field of its envelopes in use."""
    commit = Commit(
        AskId("ask-1"),
        "operator",
        "ask-0",
        AT,
        Accepted("op1", ("op1",), 2, (), ("a notice",)),
        (Recorded("host.node17", 2, fact, "/0/1"),),
        "host.register",
        Tenant("acme"),
        b"\x01\x02",
        "a reason",
    )
    return Frame(FRAME_VERSION, 3, 4, b"\x05" * 32, (commit,))


def goldens() -> Iterator[tuple[str, Golden]]:
    """Give what the golden files would hold if they were written today."""
    for name, fact in samples():
        yield name, Golden(encode_fact(fact).hex(), msgspec.to_builtins(fact))
    first = frame(next(samples())[1])
    yield "frame", Golden(encode_frame(first).hex(), {"frame": msgspec.to_builtins(first)})


def kept(name: str) -> Golden:
    return msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes(), type=Golden)


def write_missing() -> None:
    for name, golden in goldens():
        path = GOLDEN / f"{name}.json"
        if not path.exists():
            path.write_bytes(msgspec.json.format(msgspec.json.encode(golden), indent=2) + b"\n")


if __name__ == "__main__":
    write_missing()
