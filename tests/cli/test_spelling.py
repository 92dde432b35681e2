"""How values are typed."""

import msgspec
import pytest

from domain.contracts import decode_command
from domain.environment import CreateEnvironment, LayerSpec
from restow.cli.exits import UsageError
from restow.cli.spelling import (
    given,
    layer,
    layer_key,
    milliseconds,
    pairs,
    seconds,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("30", 30_000),
        ("30s", 30_000),
        ("500ms", 500),
        ("1m30s", 90_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("-1", -1_000),
        ("-5s", -5_000),
    ],
)
def test_durations_have_units_or_are_seconds(text, expected):
    assert milliseconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "30 s", "1.5s", "30x", "1s-", "--3", "m5"])
def test_what_is_no_duration_is_refused_with_examples(text):
    with pytest.raises(UsageError, match="30s, 1m30s, 500ms"):
        milliseconds(text)


def test_a_delay_is_in_whole_seconds():
    assert seconds("1m1s") == 61
    with pytest.raises(UsageError, match="whole number of seconds"):
        seconds("1500ms")


def test_labels_are_pairs():
    assert pairs(["zone=north", "note=a=b", "empty="]) == {
        "zone": "north",
        "note": "a=b",
        "empty": "",
    }
    with pytest.raises(UsageError, match="'zone' is not KEY=VALUE"):
        pairs(["zone"])
    with pytest.raises(UsageError, match="KEY=VALUE"):
        pairs(["=north"])


def test_a_layer_is_named_with_its_environment():
    assert layer_key("shop/app") == ("shop", "app")


@pytest.mark.parametrize("text", ["app", "shop/", "/app", "a/b/c", ""])
def test_half_a_layer_name_is_refused(text):
    with pytest.raises(UsageError, match="ENVIRONMENT/LAYER"):
        layer_key(text)


def test_a_layer_is_a_name_a_count_and_settings():
    assert layer("app:3:reserved=2:limit=8") == {
        "name": "app",
        "count": 3,
        "reserved": 2,
        "limit": 8,
    }


def test_a_layer_may_be_a_name_alone():
    assert layer("bl") == {"name": "bl"}


def test_words_of_a_layer_need_no_value():
    assert layer("sql:2:stateful:hard") == {
        "name": "sql",
        "count": 2,
        "stateful": True,
        "anti_affinity": "hard",
    }


def test_a_colon_inside_of_an_image_stays_there():
    assert layer("app:image=registry:5000/nginx:1.25:limit=8") == {
        "name": "app",
        "image": "registry:5000/nginx:1.25",
        "limit": 8,
    }


def test_lists_and_variables_of_a_layer_add_up():
    assert layer("app:port=80:port=443:group=a:group=b:volume=/data:var=MODE=x=y:var=N=1") == {
        "name": "app",
        "ports": [80, 443],
        "groups": ["a", "b"],
        "volumes": ["/data"],
        "variables": {"MODE": "x=y", "N": "1"},
    }


def test_a_layer_with_a_misspelt_key_is_refused_with_the_keys_there_are():
    with pytest.raises(UsageError, match=r"'reservd=2' is none of reserved, limit, disk"):
        layer("app:3:reservd=2")


def test_a_layer_with_words_for_numbers_is_refused():
    with pytest.raises(UsageError, match="reserved wants a whole number, not 'two'"):
        layer("app:reserved=two")


def test_a_layer_as_typed_is_a_layer_as_the_contract_has_it():
    spec = layer("sql:2:reserved=4:limit=8:disk=10:role=sqldb:stateful:hard:policy=pack:port=5432")
    body = msgspec.json.encode({"environment": "shop", "layers": [spec]})

    command = decode_command("environment.create", body)

    assert isinstance(command, CreateEnvironment)
    assert command.layers == (
        LayerSpec(
            name="sql",
            count=2,
            role="sqldb",
            reserved=4,
            limit=8,
            disk_gib=10,
            stateful=True,
            anti_affinity="hard",
            policy="pack",
            ports=(5432,),
        ),
    )


def test_what_was_not_given_is_not_sent():
    assert given(limit=None, count=0, ask=False) == {"count": 0, "ask": False}
