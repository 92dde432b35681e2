"""Who asks, under which id, until when, and what makes it the same ask."""

from datetime import UTC, datetime

import pytest

from domain.contracts import Asker, fingerprint, make_ask
from domain.decider import Ask
from domain.host import RelabelHost
from domain.messages import REMEMBER_MS, Code, Instant, Refusal
from domain.operation import RestartLayer, ScaleLayer

NOW = Instant(1_800_000_000_000)


def restart(**fields):
    return RestartLayer(environment="shop", layer="cp", **fields)


def asked(command, asker):
    ask = make_ask(command, asker, NOW)
    assert isinstance(ask, Ask)
    return ask


def at(instant):
    return datetime.fromtimestamp(instant / 1_000, UTC)


def test_an_ask_carries_what_the_command_says_of_itself():
    command = restart(reason="why", expect_version=3, dry_run=True, expires_at=at(NOW + 5_000))

    ask = asked(command, Asker("c-1", "user:ana", "acme"))

    assert (ask.id, ask.actor, ask.tenant, ask.command) == ("c-1", "user:ana", "acme", command)
    assert (ask.reason, ask.expect_version, ask.dry_run) == ("why", 3, True)
    assert ask.expires == NOW + 5_000


def test_expiry_of_the_asker_counts_where_the_command_says_none():
    asker = Asker("c-1", expires=Instant(NOW + 1))

    assert asked(restart(), asker).expires == NOW + 1
    assert asked(restart(expires_at=at(NOW + 2_000)), asker).expires == NOW + 2_000
    assert asked(restart(), Asker("c-1")).expires is None


def test_an_expiry_may_be_24_h_ahead_and_no_more():
    assert asked(restart(expires_at=at(NOW + REMEMBER_MS)), Asker("c-1")).expires
    refused = make_ask(restart(expires_at=at(NOW + REMEMBER_MS + 1_000)), Asker("c-1"), NOW)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.path) == (Code.LIMITS_OUT_OF_RANGE, "$.expires_at")


def test_an_ask_that_is_late_is_left_to_the_region_which_may_have_answered_it_before():
    assert asked(restart(expires_at=at(NOW - 1_000)), Asker("c-1")).expires == NOW - 1_000


@pytest.mark.parametrize(
    ("asker", "path"),
    [
        (Asker(""), "header Nats-Msg-Id"),
        (Asker("a b"), "header Nats-Msg-Id"),
        (Asker("x" * 129), "header Nats-Msg-Id"),
        (Asker("c-1", "ana\n"), "header Restow-Actor"),
        (Asker("c-1", "x" * 129), "header Restow-Actor"),
        (Asker("c-1", tenant="Acme"), "header Restow-Tenant"),
        (Asker("c-1", tenant="acme\n"), "header Restow-Tenant"),
        (Asker("c-1", tenant="a" * 64), "header Restow-Tenant"),
    ],
)
def test_a_header_that_cannot_be_used_is_named(asker, path):
    refused = make_ask(restart(), asker, NOW)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.path) == (Code.REQUEST_INVALID, path)


def test_two_different_ids_are_refused():
    refused = make_ask(restart(id="c-2"), Asker("c-1"), NOW)

    assert isinstance(refused, Refusal)
    assert refused.detail == "id is c-2 in the body and c-1 in the header; send one"


class TestFingerprint:
    def test_id_and_expiry_are_not_part_of_it(self):
        assert fingerprint(restart(id="c-1", expires_at=at(NOW))) == fingerprint(restart())

    def test_the_order_of_names_is_not_part_of_it(self):
        one = RelabelHost(host="n", labels={"zone": "a", "rack": "b"})
        other = RelabelHost(host="n", labels={"rack": "b", "zone": "a"})

        assert fingerprint(one) == fingerprint(other)

    @pytest.mark.parametrize(
        "other",
        [
            restart(delay_s=31),
            restart(reason="x"),
            restart(dry_run=True),
            RestartLayer(environment="shop", layer="sql"),
            ScaleLayer(environment="shop", layer="cp"),
        ],
    )
    def test_everything_else_is(self, other):
        assert fingerprint(other) != fingerprint(restart())

    def test_the_tenant_is_so_that_nobody_reads_anothers_answer(self):
        assert fingerprint(restart(), "acme") != fingerprint(restart(), "bravo")
        assert fingerprint(restart(), "acme") != fingerprint(restart())

    def test_it_stays_what_it_was(self):
        """Recorded answers are found by it after an update, so it must not change."""
        assert fingerprint(restart(delay_s=5), "acme").hex() == "bb1ca2e26d04c11adffd28ff5ff9c1df"
