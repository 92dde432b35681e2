"""The time machine on the command line: as of, diff, bisect, why not, export."""

import io

import msgspec
import pytest

from domain.environment import CreateEnvironment, LayerSpec
from domain.host import CordonHost
from domain.operation import ScaleNode
from restow.simulation.world import World
from tests.journal.samples import written


@pytest.fixture
async def lived(bus, subjects) -> World:
    """Write down what a small fleet lived through, and return it."""
    world = World(seed=5)
    world.hosts(3)
    spec = LayerSpec(name="app", count=2, limit=4)
    world.ask(CreateEnvironment(environment="shop", layers=(spec,)), actor="alice")
    world.settle()
    world.ask(ScaleNode(container="node1", limit=8), actor="bob", reason="a sale")
    world.settle()
    world.ask(CordonHost(host="h03", reason="a fan"), actor="carol", reason="a fan")
    world.settle()
    await written(bus, subjects, world.journal)
    return world


@pytest.mark.usefixtures("lived")
class TestAsOf:
    async def test_the_fleet_then(self, restow):
        ended = await restow("audit", "as-of", "3")
        assert ended.code == 0
        assert "hosts               3" in ended.out
        assert "containers          0" in ended.out
        whole = (await restow("audit", "as-of", "now", "-o", "json")).json
        assert whole["fleet"]["host.h03"]["state"] == "cordoned"
        assert {"layer.shop/app", "container.node2"} <= whole["fleet"].keys()

    async def test_one_aggregate_then(self, restow):
        for name in ("node1", "container.node1"):
            shown = (await restow("audit", "as-of", "now", name, "-o", "json")).json
            assert shown["state"]["limit"] == 8
        ended = await restow("audit", "as-of", "-1s", "shop/app")
        assert "layer.shop/app" in ended.out

    async def test_what_was_not_there_then(self, restow):
        ended = await restow("audit", "as-of", "3", "node1")
        assert ended.code == 3
        assert "no container.node1 at position 3" in ended.err
        assert (await restow("audit", "as-of", "3", "colour")).code == 2

    async def test_beyond_the_end_it_says_which_moment_it_is(self, restow):
        ended = await restow("audit", "as-of", "99999")
        assert "the last one before 99,999" in ended.err


@pytest.mark.usefixtures("lived")
class TestDiff:
    async def test_what_changed_and_who_asked(self, restow):
        ended = await restow("audit", "diff", "0")
        lines = {line.split()[0]: line for line in ended.out.splitlines()}
        assert "added" in lines["host.h01"]
        assert "environment.create by alice" in lines["container.node2"]
        assert "host h" in lines["container.node2"]
        assert " added, 0 changed, 0 removed" in ended.err
        assert max(map(len, lines.values())) < 170

    async def test_of_one_aggregate_alone(self, restow, lived):
        last = lived.region.position - 1
        ended = await restow("audit", "diff", str(last), "now", "host.h03")
        (line,) = ended.out.splitlines()[1:]
        assert "state active -> cordoned" in line
        assert 'host.cordon by carol ("a fan")' in line
        told = (await restow("audit", "diff", "0", "now", "node1", "-o", "json")).json
        (item,) = told["items"]
        assert "bob" in {cause["actor"] for cause in item["causes"]}
        assert "a sale" in {cause["reason"] for cause in item["causes"]}

    async def test_nothing_changed(self, restow):
        ended = await restow("audit", "diff", "now")
        assert "0 added, 0 changed, 0 removed" in ended.err


@pytest.mark.usefixtures("lived")
class TestBisect:
    async def test_it_finds_the_event(self, restow):
        ended = await restow("audit", "bisect", "host.h03.state == cordoned")
        assert ended.code == 0
        assert "host.cordoned of host.h03" in ended.out
        assert "host.cordon by carol" in ended.out
        assert "host.h03.state  active -> cordoned" in ended.out
        found = await restow("audit", "bisect", "container.node1.limit > 4", "-o", "json")
        assert found.json["cause"]["reason"] == "a sale"
        name = await restow("audit", "bisect", "container.node1.limit > 4", "-o", "name")
        assert int(name.out) == found.json["position"]
        every = await restow("audit", "bisect", "container.node1.limit > 4", "--every")
        assert "every commit was looked at" in every.out

    async def test_where_it_did_not_turn_it_ends_with_9(self, restow):
        never = await restow("audit", "bisect", "host.h09 exists")
        always = await restow("audit", "bisect", "host.h01 exists", "--from", "5")
        assert (never.code, always.code) == (9, 9)
        assert "--every looks there" in never.out
        assert "true already at position" in always.out

    async def test_what_is_no_condition(self, restow):
        assert (await restow("audit", "bisect", "h01")).code == 2
        ended = await restow("audit", "bisect", "host.h01.colour == red")
        assert ended.code == 2
        assert "Host has no 'colour'" in ended.err


@pytest.mark.usefixtures("lived")
class TestWhyNot:
    async def test_what_would_have_put_it_there(self, restow, lived):
        one = lived.fleet.containers["node2"]
        other = next(name for name in ("h01", "h02", "h03") if name != one.host)
        ended = await restow("audit", "why-not", "node2", other)
        assert ended.code == 0
        assert f"{one.host} won by spread" in ended.out
        assert "the smallest change:" in ended.out
        told = (await restow("audit", "why-not", "node2", other, "-o", "json")).json
        assert told["winner"] == one.host
        assert told["changes"]

    async def test_where_it_is_it_won(self, restow, lived):
        one = lived.fleet.containers["node1"]
        ended = await restow("audit", "why-not", "node1", one.host)
        assert ended.out.count("\n") == 1

    async def test_as_if_it_were_placed_now(self, restow):
        ended = await restow("audit", "why-not", "node1", "h03", "--as-of", "now")
        assert "placed anew" in ended.out
        assert "host h03 is cordoned" in ended.out
        assert "h03 takes containers" in ended.out

    async def test_what_is_not_there(self, restow):
        for words, said in (
            (("node9", "h01"), "never was a container node9"),
            (("node9", "h01", "--as-of", "now"), "no container node9 at position"),
            (("node1", "h09"), "no host h09 at position"),
        ):
            ended = await restow("audit", "why-not", *words)
            assert ended.code == 3
            assert said in ended.err


@pytest.mark.usefixtures("lived")
class TestExport:
    async def test_every_event_is_a_line(self, restow, tmp_path, lived):
        ended = await restow("audit", "export", "events.jsonl")
        assert f"{lived.region.position:,} events written" in ended.err
        lines = (tmp_path / "events.jsonl").read_text().splitlines()
        items = [msgspec.json.decode(line) for line in lines]
        assert [item["position"] for item in items] == list(range(1, lived.region.position + 1))
        assert {item["actor"] for item in items} >= {"alice", "bob", "carol"}
        assert msgspec.json.decode(items[0]["data"])["host"] == "h01"

    async def test_a_part_of_them_on_stdout(self, restow):
        ended = await restow("audit", "export", "-", "--stream", "host.", "--to", "3")
        assert len(ended.out.splitlines()) == 3
        ended = await restow("audit", "export", "-", "--from", "3", "--to", "now")
        assert msgspec.json.decode(ended.out.splitlines()[0])["position"] == 4

    async def test_as_parquet(self, restow, tmp_path, lived):
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
        ended = await restow("audit", "export", "events.parquet")
        assert ended.code == 0, ended.err
        table = parquet.read_table(tmp_path / "events.parquet")
        assert table.num_rows == lived.region.position
        assert table.column("position").to_pylist() == list(range(1, table.num_rows + 1))
        assert set(table.column("command").to_pylist()) >= {"host.register", "host.cordon"}

    async def test_without_pyarrow_it_says_how_to_get_it(self, restow, monkeypatch):
        monkeypatch.setattr("restow.parquet.find_spec", lambda _name: None)
        ended = await restow("audit", "export", "events.parquet")
        assert ended.code == 2
        assert "pip install 'restow[parquet]'" in ended.err

    async def test_what_cannot_be_written(self, restow):
        for file, said in (("events.csv", ".jsonl or .parquet"), ("no/dir.jsonl", "No such file")):
            ended = await restow("audit", "export", file)
            assert ended.code == 2
            assert said in ended.err


@pytest.mark.usefixtures("lived")
class TestWhatIf:
    async def test_both_sides_are_shown(self, restow):
        ended = await restow("what-if", "--policy", "pack")
        assert ended.code == 0
        rows = {line.split("  ")[0]: line for line in ended.out.splitlines()}
        assert "under pack" in ended.out
        assert rows["hosts used in the end"].split()[-2:] == ["2", "1"]
        assert rows["hosts chosen otherwise"].split()[-1] != "0"
        assert "node2" in ended.out

    async def test_under_the_same_policy_there_is_no_difference(self, restow):
        for words in ((), ("--policy", "spread"), ("--from", "3", "--to", "now")):
            told = (await restow("what-if", *words, "-o", "json")).json
            assert (told["different"], told["choices"]) == (0, [])
            assert told["recorded"] == told["other"]

    async def test_an_unknown_policy_is_told_those_that_there_are(self, restow):
        ended = await restow("what-if", "--policy", "best")
        assert ended.code == 2
        assert "spread" in ended.err


@pytest.mark.usefixtures("lived")
class TestFork:
    async def test_a_command_is_tried_and_what_is_different_is_shown(self, restow, lived):
        ended = await restow("fork", "now", "--", "layer", "scale", "shop/app", "+1")
        assert ended.code == 0, ended.err
        assert "op2 accepted" in ended.out
        assert "op watch" not in ended.err
        assert "container.node3" in ended.out
        assert "no agent hears of it" in ended.err
        assert (await restow("audit", "as-of", "now", "node3")).code == 3
        assert (
            lived.region.position
            == (await restow("audit", "as-of", "now", "-o", "json")).json["position"]
        )

    async def test_a_script_is_run_to_its_end_or_to_what_is_not_done(self, restow, tmp_path):
        script = tmp_path / "try.txt"
        script.write_text(
            "host cordon h01 --reason fan  # a note\n\nhost list -o name\nwait 5m\nstatus\n"
        )
        ended = await restow("fork", "now", "--script", str(script))
        assert ended.code == 0, ended.err
        assert "host.h01" in ended.out
        assert "h02" in ended.out.split()
        script.write_text("host remove h99\nhost cordon h01 --reason fan\n")
        ended = await restow("fork", "now", "--script", str(script))
        assert ended.code == 3
        assert "host.h01" not in ended.out

    async def test_lines_are_read_from_a_pipe(self, restow, monkeypatch):
        lines = io.StringIO("diff\nhost cordon h02 --reason fan\nexit\nhost remove h99\n")
        monkeypatch.setattr("sys.stdin", lines)
        ended = await restow("fork", "5")
        assert ended.code == 0, ended.err
        assert "host.h02" in ended.out

    async def test_what_cannot_be_done(self, restow, tmp_path):
        both = await restow("fork", "now", "--script", "x", "--", "status")
        gone = await restow("fork", "now", "--script", str(tmp_path / "none"))
        inner = await restow("fork", "now", "--", "fork", "now")
        assert (both.code, gone.code, inner.code) == (2, 2, 2)
        assert "a fork already" in inner.err
