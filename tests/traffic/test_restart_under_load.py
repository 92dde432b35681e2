"""Three containers are restarted one by one under load, and no request fails (D3).

Each restart is what the engine orders for a step, by its own times: out of DNS and balancer and
confirmed, what DNS may still be remembered for waited out, restarted, healthy, back in and
confirmed. Beside it, restarts without all that, to show that the load would notice.
"""

import pytest

from tests.traffic.restarting import (
    RATE,
    all_at_once,
    drained,
    site_of,
)


@pytest.fixture
async def site(knot, proxy, routes, tmp_path):
    async with site_of(knot, proxy, routes, tmp_path) as made:
        yield made


async def test_a_restart_one_by_one_fails_no_request(site):
    load = await site.under_load(drained)

    assert (load.failed, load.what) == (0, "{}")
    assert load.done > RATE


async def test_a_restart_without_drain_and_dns_fails_requests(site):
    load = await site.under_load(all_at_once)

    assert load.failed > 0
