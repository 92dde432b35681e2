"""Whatever is sent, the answer is a refusal that names the field and what it may hold."""

from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contracts import (
    CLOUD_EVENT,
    COMMANDS,
    REQUEST_BYTES_MAX,
    decode_command,
)
from domain.contracts.schemas import example
from domain.messages import Code, PublicCommand, Refusal
from domain.operation import RestartLayer

INVALID, RANGE = Code.REQUEST_INVALID, Code.LIMITS_OUT_OF_RANGE
LABEL = "must be a DNS label: a-z, 0-9 and inner hyphens, 1..30 characters"
ON_CP = {"environment": "shop", "layer": "cp"}
HOST = {"host": "north1", "memory_mib": 1_024, "cpu_mhz": 4_000, "disk_gib": 10}


def env(**layer):
    return {"environment": "shop", "layers": [{"name": "cp", **layer}]}


OUT_OF_RANGE = [
    ("layer.restart", ON_CP | {"delay_s": -1}, "$.delay_s", "delay_s must be 0..300, got -1"),
    ("layer.restart", ON_CP | {"delay_s": 301}, "$.delay_s", "delay_s must be 0..300, got 301"),
    ("layer.scale", ON_CP | {"count": 10**9}, "$.count", "count must be 1..1000, got 1000000000"),
    ("layer.scale", ON_CP | {"count": 10**99}, "$.count", "count must be 1..1000"),
    ("layer.scale", ON_CP | {"count": 0}, "$.count", "count must be 1..1000, got 0"),
    ("layer.scale", ON_CP | {"by": -1_001}, "$.by", "by must be -1000..1000, got -1001"),
    (
        "container.scale",
        {"container": "node1", "reserved": -5},
        "$.reserved",
        "reserved must be 1..4096, got -5",
    ),
    (
        "container.scale",
        {"container": "node1", "reserved": 5, "limit": 2},
        "$.reserved",
        "reserved must be 1..2, which is the limit, got 5",
    ),
    (
        "container.migrate",
        {"container": "node1", "deadline_s": 0},
        "$.deadline_s",
        "deadline_s must be 1..300, got 0",
    ),
    (
        "environment.create",
        env(count=10**9),
        "$.layers[0].count",
        "layers[0].count must be 1..1000, got 1000000000",
    ),
    (
        "environment.create",
        env(ports=[80, 0]),
        "$.layers[0].ports[1]",
        "layers[0].ports[1] must be 1..65535, got 0",
    ),
    (
        "environment.create",
        env(reserved=3, limit=1),
        "$.layers[0].reserved",
        "layers[0].reserved must be 1..1, which is the limit, got 3",
    ),
    (
        "environment.create",
        {"environment": "shop", "layers": []},
        "$.layers",
        "layers must be a list of 1..32 entries, got []",
    ),
    ("host.register", HOST | {"memory_mib": 1}, "$.memory_mib", "must be 128..67108864, got 1"),
    ("host.register", HOST | {"overcommit": 65}, "$.overcommit", "must be 1..64, got 65"),
    ("layer.scale", ON_CP | {"by": 1, "expect_version": -1}, "$.expect_version", "0..999999999999"),
    (
        "layer.scale",
        ON_CP | {"by": 1, "expect_version": 10**30},
        "$.expect_version",
        "expect_version must be 0..999999999999, got 1000000000000000000000000000000",
    ),
    ("layer.restart", ON_CP | {"reason": "x" * 501}, "$.reason", "text, at most 500 characters"),
]

NOT_VALID = [
    (
        "layer.restart",
        {"environment": "Shop", "layer": "cp"},
        "$.environment",
        f'{LABEL}, got "Shop"',
    ),
    ("layer.restart", {"environment": "shop", "layer": "-cp"}, "$.layer", f'{LABEL}, got "-cp"'),
    (
        "layer.restart",
        {"environment": "a.b", "layer": "cp"},
        "$.environment",
        f'{LABEL}, got "a.b"',
    ),
    ("layer.restart", {"environment": "", "layer": "cp"}, "$.environment", LABEL),
    ("layer.restart", {"environment": "x" * 31, "layer": "cp"}, "$.environment", LABEL),
    ("layer.restart", {"environment": "shop\n", "layer": "cp"}, "$.environment", LABEL),
    ("environment.create", env() | {"groups": {"G\n": "hard"}}, "$.groups[name]", LABEL),
    ("environment.create", env(variables={"A\n": ""}), "$.layers[0].variables[name]", "variable"),
    ("layer.restart", {"environment": 5, "layer": "cp"}, "$.environment", f"{LABEL}, got 5"),
    ("layer.restart", {"environment": "shop"}, "$.layer", f"layer is missing; it {LABEL}"),
    (
        "layer.restart",
        ON_CP | {"delay": 1},
        "$.delay",
        "unknown field delay; did you mean delay_s?",
    ),
    ("layer.restart", ON_CP | {"zzz": 1}, "$.zzz", "unknown field zzz; allowed are id, reason"),
    ("layer.restart", ON_CP | {"a\r\nb": 1}, '$["a\\r\\nb"]', r'unknown field ["a\r\nb"]; allowed'),
    ("layer.restart", ON_CP | {"": 1}, '$[""]', 'unknown field [""]; allowed'),
    ("dead.drop", {"dead": "5"}, "$.dead", "the name of a dead letter, such as dl3"),
    ("layer.restart", ON_CP | {"expect_plan": "5"}, "$.expect_plan", "as a dry run tells it"),
    ("environment.create", env(nmae="x"), "$.layers[0].nmae", "did you mean name?"),
    ("layer.restart", ON_CP | {"delay_s": "5"}, "$.delay_s", 'a whole number, 0..300, got "5"'),
    ("layer.restart", ON_CP | {"delay_s": 1.5}, "$.delay_s", "a whole number, 0..300, got 1.5"),
    ("layer.restart", ON_CP | {"ask": 1}, "$.ask", "ask must be true or false, got 1"),
    ("layer.restart", ON_CP | {"mode": "x"}, "$.mode", "one of sequential, simultaneous"),
    ("layer.restart", ON_CP | {"expires_at": "soon"}, "$.expires_at", "a time with its zone"),
    ("layer.restart", ON_CP | {"expires_at": "2026-11-21T10:00:00"}, "$.expires_at", "zone"),
    ("layer.restart", ON_CP | {"id": "a b"}, "$.id", "printable characters without blanks"),
    ("layer.restart", ON_CP | {"id": "x" * 129}, "$.id", "1..128 characters"),
    ("layer.restart", ON_CP | {"type": "layer.scale"}, "$.type", "type must be layer.restart"),
    ("layer.restart", [], "$", "the body must be an object, got []"),
    ("layer.scale", ON_CP, "$.count", "exactly one of count (1..1000) and by (-1000..1000)"),
    ("layer.scale", ON_CP | {"count": 1, "by": 1}, "$.count", "both were given"),
    ("layer.limits", ON_CP, "$.reserved", "give reserved, limit or both (1..4096 cloudlets)"),
    ("container.scale", {"container": "web"}, "$.container", "such as node17"),
    (
        "container.scale",
        {"container": "node1", "limit": 9, "force": True},
        "$.reason",
        "reason must say why with force, in 1..500 characters",
    ),
    (
        "container.migrate",
        {"container": "node1", "force": True, "reason": "fire"},
        "$.target",
        "target must name a host with force",
    ),
    ("operation.pause", {"operation": "3"}, "$.operation", "such as op3"),
    ("host.register", HOST | {"host": "routing"}, "$.host", "host must be another name"),
    ("host.register", HOST | {"labels": {"zone": 5}}, "$.labels[...]", "a value of labels must be"),
    ("host.register", HOST | {"labels": {"Z": "a"}}, "$.labels[name]", "a name in labels must be"),
    (
        "environment.create",
        {"environment": "shop", "layers": [{"name": "cp"}, {"name": "cp"}]},
        "$.layers",
        "cp is there more than once",
    ),
]


def refusal_of(name, body, content_type=""):
    refused = decode_command(name, body, content_type)
    assert isinstance(refused, Refusal), refused
    return refused


def as_json(body):
    try:
        return msgspec.json.encode(body)
    except OverflowError:
        return str(body).replace("'", '"').encode()


@pytest.mark.parametrize(("name", "body", "path", "words"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_told_the_range(name, body, path, words):
    refused = refusal_of(name, as_json(body))

    assert (refused.code, refused.path) == (RANGE, path)
    assert words in refused.detail


@pytest.mark.parametrize(("name", "body", "path", "words"), NOT_VALID)
def test_what_is_not_valid_is_told_what_would_be(name, body, path, words):
    refused = refusal_of(name, as_json(body))

    assert (refused.code, refused.path) == (INVALID, path)
    assert words in refused.detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not JSON: it is empty"),
        (b"{", "the body is not JSON"),
        (b"{'layer': 1}", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b'{"environment":"\xff"}', "the body is not UTF-8"),
        (b'{"environment":"shop","layer":"\\ud800"}', "the body is not JSON"),
        (b'{"environment":"shop","layer":"cp"} {}', "the body is not JSON"),
        (b"null", "the body must be an object"),
        (b"[" * 60_000, "the body must be an object"),
        (b'{"delay_s":' + b"9" * 60_000 + b"}", "delay_s must be 0..300"),
        (b'{"delay_s":1e999}', "delay_s must be 0..300"),
        (b'{"delay_s":NaN}', "the body is not JSON"),
    ],
)
def test_bytes_that_are_no_command_are_refused(body, words):
    assert words in refusal_of("layer.restart", body).detail


def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not():
    body = b'{"environment":"shop","layer":"cp"}'

    largest = decode_command("layer.restart", body.ljust(REQUEST_BYTES_MAX))
    refused = refusal_of("layer.restart", body.ljust(REQUEST_BYTES_MAX + 1))

    assert largest == RestartLayer(environment="shop", layer="cp")
    assert refused.code is Code.REQUEST_TOO_LARGE
    assert refused.detail == "the body has 65,537 bytes, at most 65,536 are allowed"


@pytest.mark.parametrize(("name", "near"), [("layer.skale", "layer.scale"), ("host.ad", "host.")])
def test_an_unknown_command_is_offered_near_ones(name, near):
    refused = refusal_of(name, b"{}")

    assert refused.code is Code.COMMAND_UNKNOWN
    assert f"did you mean {near}" in refused.detail


def test_a_name_that_is_near_to_none_is_offered_all():
    assert "layer.restart" in refusal_of("x" * 5_000, b"{}").detail
    assert len(refusal_of("x" * 5_000, b"{}").detail) < 1_000


class TestCloudEvents:
    ENVELOPE = MappingProxyType(
        {"specversion": "1.0", "id": "ce-1", "source": "/ci", "type": "layer.restart"}
    )

    def decode(self, name="layer.restart", content_type=CLOUD_EVENT, **fields):
        return decode_command(name, msgspec.json.encode({**self.ENVELOPE, **fields}), content_type)

    @pytest.mark.parametrize("content_type", [CLOUD_EVENT, f"{CLOUD_EVENT}; charset=UTF-8"])
    def test_the_command_in_data_is_taken_and_the_events_id_is_its_id(self, content_type):
        command = self.decode(content_type=content_type, data=ON_CP, time="any", myext=1)

        assert command == RestartLayer(id="ce-1", environment="shop", layer="cp")

    def test_an_id_in_the_command_counts_more(self):
        assert self.decode(data=ON_CP | {"id": "c-1"}).id == "c-1"

    def test_the_longer_type_is_known_too(self):
        assert isinstance(
            self.decode(type="io.restow.command.layer.restart.v1", data=ON_CP), RestartLayer
        )

    @pytest.mark.parametrize(
        ("fields", "path", "words"),
        [
            (
                {"data": ON_CP | {"delay_s": 301}},
                "$.data.delay_s",
                "delay_s must be 0..300, got 301",
            ),
            ({"type": "layer.scale", "data": ON_CP}, "$.type", "type must be layer.restart"),
            ({"specversion": "0.3", "data": ON_CP}, "$.specversion", "one of 1.0"),
            ({}, "$.data", "data is missing"),
            ({"data": 5}, "$.data", "the body must be an object"),
            (
                {"data": ON_CP, "datacontenttype": "text/xml"},
                "$.datacontenttype",
                "application/json",
            ),
            ({"data": ON_CP, "id": ""}, "$.id", "1..128 characters"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_place_in_the_event(self, fields, path, words):
        refused = self.decode(**fields)

        assert isinstance(refused, Refusal)
        assert refused.path == path
        assert words in refused.detail

    def test_data_nested_without_end_is_refused(self):
        body = msgspec.json.encode({**self.ENVELOPE})[:-1] + b',"data":' + b"[" * 50_000

        assert (
            refusal_of("layer.restart", body, CLOUD_EVENT).detail == "the body is nested too deeply"
        )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_each_command_is_taken(name):
    body = msgspec.json.encode(example(COMMANDS[name]))

    assert decode_command(name, body) == COMMANDS[name].example


KEYS = st.sampled_from(sorted({f for c in COMMANDS.values() for f in c.shape.__struct_fields__}))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(COMMANDS)), change=st.dictionaries(KEYS | st.text(), ANYTHING))
def test_whatever_the_json_the_answer_is_a_command_or_a_refusal_with_words(name, change):
    body = str(msgspec.json.encode(example(COMMANDS[name]))[:-1], "utf-8")
    added = "".join(f",{_dumped(k)}:{_dumped(v)}" for k, v in change.items())

    answer = decode_command(name, f"{body}{added}}}".encode())

    assert isinstance(answer, PublicCommand) or (answer.detail and answer.path.startswith("$"))


def _dumped(value):
    return msgspec.json.encode(value, enc_hook=str).decode() if not _huge(value) else "123"


def _huge(value):
    match value:
        case int():
            return not -(2**63) <= value < 2**64
        case list():
            return any(_huge(item) for item in value)
        case dict():
            return any(_huge(item) for item in value.values())
        case _:
            return False


@given(name=st.sampled_from(sorted(COMMANDS)), body=st.binary(max_size=200))
def test_whatever_the_bytes_the_answer_is_a_command_or_a_refusal(name, body):
    assert isinstance(decode_command(name, body), PublicCommand | Refusal)
