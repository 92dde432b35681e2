"""What takes something away is asked about: on a terminal; elsewhere it wants `--yes`."""

import io

import pytest

from domain.messages import Code
from restow.cli import sure

DONE = {"status": "done", "command_id": "c-1", "position": 9}
SHOP = {"id": "shop", "layers": ["app", "sql"], "containers": 5}
APP = {"environment": "shop", "name": "app", "count": 3, "operable": 2}
H01 = {"id": "h01", "cloudlets": 64, "containers": 0}

REMOVALS = [
    ("env remove shop", "environment", SHOP, "remove shop in region {} (2 layers, 5 containers)"),
    ("layer remove shop/app", "layer", APP, "remove shop/app in region {} (3 containers, 2"),
    ("host remove h01", "host", H01, "forget host h01 in region {} (64 cloudlets, 0 containers)"),
]


@pytest.fixture(params=REMOVALS, ids=[words.partition(" ")[0] for words, *_ in REMOVALS])
def removal(request, booth, prefix):
    words, noun, item, question = request.param
    booth.says(f"{noun}.show", item)
    booth.says(f"{noun}.remove", DONE)
    return words.split(), f"{noun}.remove", question.format(prefix)


@pytest.fixture
def terminal(monkeypatch):
    """Return what lets somebody sit at a terminal and type an answer."""

    def types(answer: str) -> None:
        monkeypatch.setattr(sure, "on_terminal", lambda: True)
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    return types


def asked(booth) -> list[str]:
    return [name for name, _ in booth.heard]


async def test_without_a_terminal_it_is_refused_and_the_flag_named(restow, booth, removal):
    words, command, _ = removal
    ended = await restow(*words)

    assert ended.code == 2
    assert "--yes" in ended.err
    assert command not in asked(booth)


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
async def test_yes_on_a_terminal_goes_on(restow, booth, removal, terminal, answer):
    words, command, question = removal
    terminal(answer)
    ended = await restow(*words)

    assert ended.code == 0
    assert question in ended.err
    assert command in asked(booth)


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "maybe\n"])
async def test_anything_else_does_nothing(restow, booth, removal, terminal, answer):
    words, command, _ = removal
    terminal(answer)
    ended = await restow(*words)

    assert ended.code == 130
    assert "nothing was done" in ended.err
    assert command not in asked(booth)


@pytest.mark.parametrize("flag", ["--yes", "-y", "--dry-run"])
async def test_what_is_meant_or_only_planned_is_not_asked_about(restow, booth, removal, flag):
    words, command, _ = removal
    ended = await restow(*words, flag)

    assert ended.code == 0
    assert asked(booth) == [command]


async def test_what_is_not_there_is_said_at_once(restow, booth, terminal):
    booth.refuses("environment.show", Code.ENVIRONMENT_NOT_FOUND, "there is no environment shop")
    terminal("y\n")
    ended = await restow("env", "remove", "shop")

    assert ended.code == 3
    assert asked(booth) == ["environment.show"]


async def test_without_a_read_side_it_is_asked_all_the_same(restow, booth, terminal):
    booth.refuses("environment.show", Code.RATE_LIMITED, "later")
    booth.says("environment.remove", DONE)
    terminal("y\n")
    ended = await restow("env", "remove", "shop")

    assert ended.code == 0
    assert "nobody can tell how much" in ended.err


async def test_data_are_purged_only_if_that_is_meant(restow, tmp_path):
    data = tmp_path / "kept"
    data.mkdir()
    ended = await restow("down", "--data", str(data), "--purge")

    assert ended.code == 2
    assert data.exists()
    assert (await restow("down", "--data", str(data), "--purge", "--yes")).code == 0
    assert not data.exists()
