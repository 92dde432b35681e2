"""The catalogue holds every command and event there is, and the documents say what it says."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

from domain.contracts import COMMANDS, EVENTS
from domain.contracts.asyncapi import asyncapi
from domain.contracts.catalogue import COMMON, description, sentence
from domain.contracts.pages import errors_document
from domain.contracts.replies import planned
from domain.contracts.schemas import event_schema
from domain.decider import Commit, Recorded
from domain.facts import FACTS
from domain.host import HostCordoned
from domain.messages import Accepted, AskId, Code, HostId, Instant, PublicCommand
from domain.subjects import Subjects
from projections.cloudevents import cloud_event
from projections.feed import Placed
from restow.generate import differences, documents, main, write
from tests.docs.explored import explored

pytestmark = pytest.mark.timeout(600)  # whoever asks first goes every way of the sagas

DOMAIN = Path(__file__).parents[2] / "domain"


def tagged(shape):
    found = {shape} if "." in str(shape.__struct_config__.tag) else set()
    return found.union(*(tagged(below) for below in shape.__subclasses__()))


def test_every_public_command_is_in_it():
    assert {contract.shape for contract in COMMANDS.values()} == tagged(PublicCommand)


def test_every_event_is_in_it():
    assert {contract.shape for contract in EVENTS.values()} == set(FACTS)


@pytest.mark.parametrize("contract", COMMANDS.values(), ids=str)
def test_a_name_is_a_noun_and_a_verb(contract):
    assert re.fullmatch(r"[a-z]+\.[a-z]+", contract.name)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", contract.endpoint)


@pytest.mark.parametrize("contract", COMMANDS.values(), ids=str)
def test_a_commands_errors_are_its_own_and_named_once(contract):
    assert len(set(contract.errors)) == len(contract.errors)
    assert not set(contract.errors) & set(COMMON)


@pytest.mark.parametrize("contract", COMMANDS.values(), ids=str)
def test_a_command_says_in_a_sentence_what_it_does(contract):
    assert contract.summary.endswith(".")
    assert "\n" not in contract.summary


def test_an_event_without_words_of_its_own_is_told_by_its_name():
    assert description(EVENTS["container.restarted"].shape) == "Container restarted."
    assert sentence(EVENTS["container.routed"].shape).startswith("DNS and balancer confirmed")


def test_codes_that_are_decided_in_the_domain_are_in_the_contract_of_some_command():
    used = set()
    for path in DOMAIN.glob("*.py"):
        if path.stem in ("messages", "problems"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used |= {Code[node.attr]} if node.value.id == "Code" else set()

    said = set(COMMON).union(*(contract.errors for contract in COMMANDS.values()))
    assert used <= said


@pytest.fixture(scope="module")
def made():
    """Return all documents; whoever asks first goes every way of the sagas."""
    explored()
    return documents()


@pytest.mark.usefixtures("made")
class TestDocuments:
    def test_those_in_the_repository_are_those_of_the_code(self):
        assert differences() == []

    def test_what_differs_is_written_and_what_is_left_over_goes(self, tmp_path, made):
        assert set(write(tmp_path)) == set(made)
        left = tmp_path / "docs/contracts/commands/old.name.json"
        left.write_text("{}")
        (tmp_path / "docs/errors.md").write_text("mine")

        assert differences(tmp_path) == ["docs/contracts/commands/old.name.json", "docs/errors.md"]
        assert len(write(tmp_path)) == 2
        assert differences(tmp_path) == []

    def test_a_misspelt_flag_writes_nothing(self, capsys):
        assert main(["--chekc"]) == 2
        assert "--check" in capsys.readouterr().err

    @pytest.mark.parametrize("page", ["commands", "events", "errors"])
    def test_every_link_of_a_page_leads_somewhere(self, page, made):
        anchors = set(re.findall(r'<a id="([^"]+)">', made["docs/errors.md"]))

        links = re.findall(r"\(((?:errors\.md)?)#([^)]+)\)", made[f"docs/{page}.md"])

        assert {anchor for _, anchor in links} <= anchors

    def test_errors_as_data_are_all_codes(self):
        assert {error["code"] for error in errors_document()["errors"]} == set(Code)


class TestAsyncApi:
    def test_every_reference_leads_somewhere(self):
        document = asyncapi()
        found = re.findall(r'"\$ref":"#/([^"]+)"', msgspec.json.encode(document).decode())

        assert found
        for reference in set(found):
            place = document
            for step in reference.split("/"):
                place = place[step]

    def test_every_component_is_used(self):
        said = msgspec.json.encode(asyncapi()).decode()

        for kind, things in asyncapi()["components"].items():
            unused = [name for name in things if f'"#/components/{kind}/{name}"' not in said]
            assert unused == []

    def test_addresses_are_those_of_the_region(self):
        channels = asyncapi("r1")["channels"]
        subjects = Subjects("r1")

        assert channels["typed-layer-scale"]["address"] == subjects.service("layer.scale")
        assert channels["durable-layer-scale"]["address"] == "r1.cmd.v1.{tenant}.layer.scale"
        assert channels["outcome"]["address"] == "r1.res.{tenant}.{id}"
        assert channels["events-container"]["address"] == "r1.evt.container.{id}"

    def test_each_event_is_on_one_channel(self):
        told = [
            name
            for key, channel in asyncapi()["channels"].items()
            if key.startswith("events-")
            for name in channel["messages"]
        ]

        assert sorted(told) == sorted(EVENTS)


def test_the_relay_says_what_the_catalogue_promises():
    fact = HostCordoned(HostId("n"), "disk")
    placed = Placed(5, commit := a_commit(fact), commit.events[0])

    said = cloud_event("r1", placed)

    assert said.type == EVENTS["host.cordoned"].public_type
    assert said.dataschema == event_schema(EVENTS["host.cordoned"])["$id"]
    assert msgspec.json.decode(said.data) == planned(fact).data


def a_commit(fact):
    recorded = (Recorded("host.n", 1, fact),)
    return Commit(AskId("c-1"), "operator", "", Instant(1), Accepted(), recorded)
