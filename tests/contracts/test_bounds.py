"""No whole number from outside is without a bound: one of 65 bits would end whoever stores it."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from msgspec import inspect

from domain.agent import Hello, Usage
from domain.contracts import COMMANDS
from domain.lease import Back, Beat
from domain.messages import INTEGER_MAX
from domain.networks import Where
from domain.orders import AnyReport
from projections import questions
from projections.questions import Question

ASKED = [one for one in vars(questions).values() if isinstance(one, type)]
SHAPES = [
    *(contract.shape for contract in COMMANDS.values()),
    *(one for one in ASKED if issubclass(one, Question)),
    *get_args(AnyReport),
    Beat,
    Back,
    Hello,
    Usage,
    Where,
]


def below(found: inspect.Type) -> dict[str, inspect.Type]:
    """Return the types that a type is made of, by what leads there."""
    match found:
        case inspect.StructType(fields=fields):
            return {f".{field.name}": field.type for field in fields}
        case inspect.UnionType(types=types):
            return {f"|{number}": one for number, one in enumerate(types)}
        case inspect.Metadata(type=inner):
            return {"": inner}
        case inspect.DictType(key_type=name, value_type=value):
            return {"[name]": name, "[...]": value}
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return {"[]": item}
        case _:
            return {}


def unbounded(found: inspect.Type, where: str) -> Iterator[str]:
    if isinstance(found, inspect.IntType) and not has_bounds(found):
        yield where
    for step, inner in below(found).items():
        yield from unbounded(inner, where + step)


def has_bounds(number: inspect.IntType) -> bool:
    if number.ge is None or number.le is None:
        return False
    return -INTEGER_MAX <= number.ge <= number.le <= INTEGER_MAX


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_whole_number_has_bounds(shape: type[Any]):
    assert list(unbounded(inspect.type_info(shape), shape.__name__)) == []


def test_a_number_without_bounds_is_found():
    class Loose(msgspec.Struct):
        lines: tuple[dict[str, int], ...]

    assert list(unbounded(inspect.type_info(Loose), "Loose")) == ["Loose.lines[][...]"]
