"""A name with a line break at its end is no name, whoever sends it: `$` would let it pass."""

import json
import re
from typing import Any

import msgspec
import pytest
from eventsourcing.utils import Environment

from domain.contracts.catalogue import COMMANDS
from domain.contracts.schemas import command_schema
from domain.environment import Domain, Variables
from domain.messages import (
    AskName,
    EnvironmentName,
    GroupName,
    HostName,
    Labels,
    LayerLabel,
    MigrationName,
    NodeName,
    OperationName,
    TriggerName,
)
from domain.orders import AnyReport, ReportPhase
from domain.subjects import Subjects
from handlers.recorder import JetStreamFactory
from projections.questions import OperationList
from restow.settings import SettingsError, find_region

NAMES = {
    "a": (HostName, EnvironmentName, LayerLabel, GroupName, AskName, Domain),
    "node17": (NodeName,),
    "op3": (OperationName,),
    "mv5": (MigrationName,),
    "tr1": (TriggerName,),
}
CASES = [
    pytest.param(name, kind, id=f"{name}-{number}")
    for name, kinds in NAMES.items()
    for number, kind in enumerate(kinds)
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_line_break_at_its_end_makes_a_name_none(name: str, kind: Any):
    assert msgspec.convert(name, kind) == name
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(f"{name}\n", kind)


@pytest.mark.parametrize("kind", [Labels, Variables], ids=["labels", "variables"])
def test_a_line_break_at_the_end_of_a_key_is_refused(kind: Any):
    assert msgspec.convert({"a": "b"}, kind) == {"a": "b"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"a\n": "b"}, kind)


def test_an_agents_report_is_held_to_the_same():
    report = ReportPhase(ask="r1", host="h1", migration="mv5", phase="frozen", after_ms=1)  # type: ignore[arg-type]
    said = msgspec.json.encode(report)
    reports = msgspec.json.Decoder(AnyReport)

    assert reports.decode(said) == report
    with pytest.raises(msgspec.ValidationError):
        reports.decode(said.replace(b'"frozen"', b'"frozen\\n"'))


def test_a_question_is_held_to_the_same():
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"after":"op3\\n"}', type=OperationList)


def test_a_prefix_with_a_line_break_is_none(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="prefix"):
        Subjects("a\n")
    with pytest.raises(SettingsError, match="prefix"):
        find_region("nats://127.0.0.1:1", "a\n")


def test_an_application_with_a_line_break_in_its_name_is_none():
    with pytest.raises(OSError, match="application"):
        JetStreamFactory(Environment("a\n"))


def test_no_pattern_of_the_contract_ends_where_a_line_break_may_follow():
    """Schemas are read by others, whose `$` is the very end; what decodes them is Python's."""
    for contract in COMMANDS.values():
        schema = json.dumps(command_schema(contract))
        assert "\\\\Z" not in schema
    source = [json.dumps(msgspec.json.schema(contract.shape)) for contract in COMMANDS.values()]
    patterns = {found for text in source for found in re.findall(r'"pattern": "([^"]*)"', text)}

    assert patterns
    assert not [pattern for pattern in patterns if not pattern.endswith("\\\\Z")]
