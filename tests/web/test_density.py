"""How dense history is: every event counted once, in its stretch of time."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from domain.messages import Instant
from projections.web.density import density
from tests.web.conftest import END, FRAMES

TIMES = [commit.at for frame in FRAMES for commit in frame.commits for _ in commit.events]


def counted(times: Sequence[int], begin: int, width: int) -> dict[int, int]:
    return dict(Counter((at - begin) // width for at in times))


async def made(times: Sequence[int], buckets: int) -> int:
    """Hold the density of some history against a plain count; return how often it was looked."""
    looked = 0

    async def at(position: int) -> Instant:
        nonlocal looked
        looked += 1
        return Instant(times[position - 1])

    told = await density(at, len(times), buckets)
    assert 1 <= len(told.buckets) <= buckets
    assert {n: one.events for n, one in enumerate(told.buckets) if one.events} == counted(
        times, told.begin, told.width_ms
    )
    for one in told.buckets:
        end = one.at + told.width_ms
        assert one.position == sum(moment < end for moment in times)
    assert told.buckets[-1].position == told.position == len(times)
    return looked


@pytest.mark.parametrize("nth", range(40))
async def test_every_event_is_counted_once_in_its_stretch(nth):
    dice = random.Random(nth)
    gaps = [dice.choice((0, 0, 1, 7, 5_000)) for _ in range(dice.randint(1, 400))]
    moment, times = 1_700_000_000_000, []
    for gap in gaps:
        moment += gap
        times.append(moment)
    await made(times, dice.randint(1, 60))


async def test_a_long_history_is_not_read_whole():
    times = [1_700_000_000_000 + n * 7 for n in range(200_000)]
    assert await made(times, 120) < 3_000


async def test_it_is_told_over_http(http):
    said = await http.get("/v1/density?buckets=10")
    assert said.status_code == 200, said.text
    told = said.json()
    assert told["position"] == END == int(said.headers["Restow-Position"])
    assert (told["begin"], told["end"]) == (TIMES[0], TIMES[-1])
    assert {n: one["events"] for n, one in enumerate(told["buckets"]) if one["events"]} == counted(
        TIMES, told["begin"], told["width_ms"]
    )
    assert len((await http.get("/v1/density")).json()["buckets"]) <= 120


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("buckets=0", "1 to 500"),
        ("buckets=501", "1 to 500"),
        ("buckets=many", "must be a number"),
        ("as_of=3", "no parameter 'as_of'"),
    ],
)
async def test_a_wrong_question_is_refused_by_name(http, query, said):
    refused = await http.get(f"/v1/density?{query}")
    assert refused.status_code == 400
    assert said in refused.json()["detail"]
