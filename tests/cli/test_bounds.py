"""Tenants' limits and dead letters, as the command line shows them."""

import msgspec

from domain.messages import Code, Refusal
from domain.problems import problem


async def test_who_asks_too_much_is_told_when_to_come_again(restow, booth):
    refusal = Refusal(Code.RATE_LIMITED, "acme may ask 5 a second", "", {"rate": 5}, 60_000)
    booth.says("host.cordon", msgspec.to_builtins(problem(refusal)))

    ended = await restow("host", "cordon", "h01", "--id", "c-1")

    assert ended.code == 1
    assert "error: rate.limited: acme may ask 5 a second" in ended.err
    assert "again in 60 s, with the same id" in ended.err
    assert len(booth.heard) == 1


async def test_who_may_come_again_soon_does_so_by_itself(restow, booth):
    refusal = Refusal(Code.RATE_LIMITED, "too fast", "", {}, 300)
    done = {"status": "done", "command_id": "c-1"}
    booth.says("host.cordon", msgspec.to_builtins(problem(refusal)), done)

    ended = await restow("host", "cordon", "h01", "--id", "c-1")

    assert ended.code == 0
    assert [body["id"] for _, body in booth.heard] == ["c-1", "c-1"]


async def test_tenants_are_a_table(restow, booth):
    line = {"id": "_others", "rate": 500, "burst": 1_000, "in_flight": 1_000, "kept": 10_000}
    booth.says("tenant.list", {"items": [line | {"source": "default"}], "position": 3})

    assert (await restow("tenant", "list")).out.splitlines() == [
        "TENANT   RATE  BURST  IN-FLIGHT  KEPT   SOURCE",
        "_others  500   1000   1000       10000  default",
    ]


async def test_one_tenant_is_shown(restow, booth):
    booth.says("tenant.show", {"id": "acme", "rate": 5, "source": "own"})

    assert "source  own" in (await restow("tenant", "show", "acme")).out


async def test_letters_are_a_table(restow, booth):
    line = {"id": "dl1", "at": 0, "state": "dead", "tenant": "acme", "command": "layer.scale"}
    line |= {"code": "internal", "attempt": 2, "detail": "a mistake"}
    booth.says("dead.list", {"items": [line], "position": 3})

    ended = await restow("dead", "list", "--tenant", "acme")

    assert ended.out.splitlines() == [
        "LETTER  AGE  STATE  TENANT  COMMAND      CODE      TRIED  DETAIL",
        "dl1     -    dead   acme    layer.scale  internal  2      a mistake",
    ]
    assert booth.body("dead.list")["tenant"] == "acme"


async def test_one_letter_is_shown_with_what_was_sent(restow, booth):
    booth.says("dead.show", {"id": "dl1", "body": '{"environment":'})

    assert 'body  {"environment":' in (await restow("dead", "show", "dl1")).out
