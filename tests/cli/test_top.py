"""The region at a glance: what is shown, how often, and to whom."""

from typing import Any

import msgspec
import pytest

from restow.cli.top import Sight, screen

COUNTS = {
    "hosts": 3,
    "hosts_lost": 1,
    "containers": 60,
    "operable": 57,
    "operations_running": 1,
    "migrations_running": 1,
}


def status(position: int, at: int) -> dict[str, Any]:
    return {"position": position, "epoch": 2, "at": at, "counts": COUNTS}


def host(name: str, used: int, **more: Any) -> dict[str, Any]:
    plain = {"id": name, "zone": "a", "state": "active", "used": used, "cloudlets": 40}
    return {**plain, "containers": 2, "leaving": 0, "arriving": 0, **more}


HOSTS = [host("h1", 10), host("h2", 30, leaving=1), host("h3", 0, cloudlets=0)]
OPERATION = {
    "id": "op3",
    "kind": "restart",
    "environment": "shop",
    "layer": "app",
    "state": "running",
    "done": 1,
    "todo": 2,
    "detail": "",
}
MIGRATION = {"id": "mv5", "container": "node7", "source": "h2", "target": None, "state": "moving"}


@pytest.fixture
def region(booth):
    """Return a region in which something goes on."""
    booth.says("status", status(100, 1_000), status(300, 3_000))
    booth.says("host.list", {"items": HOSTS, "position": 100})
    nothing = {"items": [], "position": 100}
    booth.says("operation.list", {"items": [OPERATION], "position": 100}, nothing)
    booth.says("migration.list", {"items": [MIGRATION], "position": 100}, nothing)
    return booth


@pytest.mark.usefixtures("region")
class TestTop:
    async def test_the_fullest_hosts_come_first_and_what_is_under_way_last(self, restow):
        ended = await restow("top", "--times", "1")

        assert ended.code == 0, ended.err
        lines = ended.out.splitlines()
        assert lines[0] == "position 100  epoch 2"
        assert "3 hosts, 1 lost  57 of 60 containers operable" in lines[1]
        assert [line.split()[0] for line in lines if line.startswith("h")] == ["h2", "h1", "h3"]
        assert "30/40" in lines[4]
        assert "75%" in lines[4]
        assert "1 leaving" in lines[4]
        assert "op3" in ended.out
        assert "1 of 3" in ended.out
        assert "h2 -> ?" in ended.out

    async def test_a_second_look_says_how_fast(self, restow):
        ended = await restow("top", "--times", "2")

        assert "position 300  100 events/s" in ended.out

    async def test_as_json_each_look_is_a_line(self, restow):
        ended = await restow("top", "--times", "2", "-o", "jsonl")
        looks = [msgspec.json.decode(line) for line in ended.out.splitlines()]

        assert [look["status"]["position"] for look in looks] == [100, 300]
        assert looks[0]["operations"] == [OPERATION]
        assert (await restow("top", "--times", "1", "-o", "name")).out == "300\n"

    @pytest.mark.parametrize("every", ["0s", "301s", "soon"])
    async def test_how_often_has_bounds(self, restow, every):
        ended = await restow("top", "--every", every)

        assert ended.code == 2


def test_a_screen_holds_what_it_can_and_says_how_many_it_does_not():
    hosts = [host(f"h{n}", 1) for n in range(30)]
    seen = Sight(status(1, 0), hosts, [OPERATION], [])

    lines = screen(seen, None, 20)

    assert len(lines) <= 20
    assert "and 19 hosts that are less full" in lines
    assert len(screen(seen, None, 0)) > 30
    assert screen(Sight(status(1, 0), [], [], []), None, 20)[1].startswith("3 hosts")
