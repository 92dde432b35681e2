"""`restow host room`: the moves that would make room, or what is missing."""

import pytest

MOVE = {"container": "node4", "source": "h03", "target": "h05", "cloudlets": 4, "disk_gib": 1}
FOUND = {
    "host": "h03",
    "cloudlets": 8,
    "disk_gib": 0,
    "free": 4,
    "possible": True,
    "moves": [MOVE],
    "moved": 4,
    "missing": 0,
    "why": "",
    "certain": True,
}
NONE = FOUND | {"possible": False, "moves": [], "moved": 0, "missing": 3, "why": "all are full"}


async def test_the_moves_are_shown_with_what_they_cost(restow, booth):
    booth.says("host.room", FOUND)

    ended = await restow("host", "room", "h03", "--cloudlets", "8")

    assert booth.heard[-1][1] == {"host": "h03", "cloudlets": 8, "disk_gib": 0}
    assert "node4" in ended.out
    assert "h05" in ended.out
    assert "1 move, 4 cloudlets (none is cheaper)" in ended.out


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (NONE, "no room: 3 cloudlets are missing (proven); all are full"),
        (NONE | {"certain": False}, "no room: 3 cloudlets are missing (as far as was looked)"),
        (FOUND | {"certain": False}, "(the cheapest that was seen)"),
        (FOUND | {"moves": [], "moved": 0}, "it is free already"),
    ],
)
async def test_what_was_found_is_said_in_a_sentence(restow, booth, found, said):
    booth.says("host.room", found)

    ended = await restow("host", "room", "h03", "--cloudlets", "8")

    assert said in ended.out


async def test_as_json_it_is_what_the_bus_answered(restow, booth):
    booth.says("host.room", FOUND)

    assert (await restow("host", "room", "h03", "--cloudlets", "8", "-o", "json")).json == FOUND
