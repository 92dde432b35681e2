"""What the read API tells from the journal itself."""

import msgspec
import pytest

from domain.certificate import Checked
from domain.contracts import COMMANDS
from domain.facts import tag
from domain.messages import Code, Refusal
from domain.waysback import ways_back
from projections.batches import frame_hash
from projections.feed import last_position
from projections.keyframes import Keyframes
from projections.moments import NOW, Moment
from projections.reaching import Reaching
from projections.web.inquiries import WaysBack
from restow.certificates import certified
from restow.inquiring import Inquiring
from restow.undoing import answer, between, followed, rehearse, single
from tests.projections.journal import MemoryJournal
from tests.web.conftest import FRAMES

OVER = [
    getattr(event.fact, tag(event.fact).partition(".")[0])
    for frame in FRAMES
    for commit in frame.commits
    for event in commit.events
    if tag(event.fact) in {"operation.finished", "migration.completed"}
]


async def hashed(frames):
    for frame in frames:
        yield frame_hash(frame), frame


@pytest.mark.parametrize("name", OVER[:6])
async def test_a_certificate_is_that_of_the_command_line(http, name):
    said = await http.get(f"/v1/certificates/{name}")
    assert said.status_code == 200, said.text
    told = msgspec.json.decode(said.content, type=Checked)
    assert told == await certified(hashed(FRAMES), name)
    assert told.certificate.subject == name
    assert told.wrong == ()
    again = await http.get(said.url.path, headers={"If-None-Match": said.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("op999", 404, "restow op list"),
        ("nothing/like/this", 404, "there is no resource"),
        ("op1?colour=red", 400, "no parameter 'colour'"),
    ],
)
async def test_what_cannot_be_certified_is_refused_with_a_way_on(http, path, status, said):
    refused = await http.get(f"/v1/certificates/{path}")
    assert refused.status_code == status
    assert said in refused.json()["detail"]


class Promising(MemoryJournal):
    """Says that it has more than can be read."""

    async def end(self) -> int:
        return await super().end() + 1


async def test_a_journal_that_takes_too_long_is_not_waited_for(tmp_path):
    journal = Promising(FRAMES)
    reaching = Reaching(journal, Keyframes(tmp_path))
    inquiries = Inquiring(journal, reaching, lambda _, frame: frame_hash(frame), within_s=0.05)
    refused = await inquiries.certificate("op999")
    assert isinstance(refused, Refusal)
    assert refused.code is Code.WAIT_TIMEOUT
    assert "`restow op certificate op999` has no such limit" in refused.detail


ASKED = [
    commit.ask
    for frame in FRAMES
    for commit in frame.commits
    if commit.command in COMMANDS and commit.events
]


async def held(said, reaching, undoing, position) -> WaysBack:
    """Return what the API said, which is what the command line works out."""
    told = ways_back(undoing)
    tried = await rehearse(reaching, undoing, told.steps, position)
    assert said.status_code == 200, said.text
    found = msgspec.json.decode(said.content, type=WaysBack)
    wanted = answer(undoing, told, tried, position)
    assert found == msgspec.json.decode(msgspec.json.encode(wanted), type=WaysBack)
    return found


async def test_the_ways_back_are_those_of_the_command_line(http, site, tmp_path):
    """Each command of a small history: undone, left with a reason, or not over yet."""
    reaching = Reaching(site.journal, Keyframes(tmp_path / "others"))
    sent = 0
    for ask in ASKED[:12]:
        said = await http.get("/v1/undo", params={"of": ask})
        target = await single(reaching, ask, "", NOW)
        assert target is not None
        undoing, position = await followed(reaching, target, NOW)
        if undoing.going_on():
            assert (said.status_code, said.json()["code"]) == (409, "operation.busy")
            continue
        found = await held(said, reaching, undoing, position)
        assert [one.ask for one in found.asked] == [ask]
        assert all(one.type in COMMANDS for one in found.commands)
        sent += len(found.commands)
    assert sent
    assert site.engine.asked == []


END = last_position(FRAMES[-1])


@pytest.mark.parametrize(
    ("begin", "end"), [(0, END), (END // 2, END), (END // 4, END // 2), (END - 1, END), (9, 3)]
)
async def test_the_ways_back_over_a_span_are_those_of_the_command_line(
    http, site, tmp_path, begin, end
):
    reaching = Reaching(site.journal, Keyframes(tmp_path / "others"))
    said = await http.get("/v1/undo/between", params={"from": begin, "to": end})
    target = await between(reaching, Moment(position=begin), Moment(position=end))
    undoing, position = await followed(reaching, target, NOW)
    if undoing.going_on():
        assert (said.status_code, said.json()["code"]) == (409, "operation.busy")
        return
    found = await held(said, reaching, undoing, position)
    assert all(begin < one.position <= end for one in found.asked)
    assert site.engine.asked == []


async def test_a_span_may_be_told_by_times_and_ends_now(http):
    whole = (await http.get("/v1/undo/between", params={"from": 0})).json()
    by_time = await http.get("/v1/undo/between", params={"from": "1971-01-01T00:00:00Z"})
    assert (by_time.json(), by_time.status_code) == (whole, by_time.status_code)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "query from"),
        ("?from=", "query from"),
        ("?from=soon", "query from"),
        ("?from=-1", "query from"),
        ("?to=5", "query from"),
        ("?from=1&to=later", "query to"),
        ("?from=1&of=op1", "query of"),
    ],
)
async def test_a_span_that_is_none_is_refused_by_name(http, query, named):
    refused = await http.get(f"/v1/undo/between{query}")
    assert (refused.status_code, refused.json()["path"]) == (400, named)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 400, "1 to 128"),
        ("?of=", 400, "1 to 128"),
        ("?of=" + "x" * 129, 400, "1 to 128"),
        ("?what=op1", 400, "no parameter 'what'"),
        ("?of=op999", 404, "no command op999"),
    ],
)
async def test_what_cannot_be_undone_is_refused_by_name(http, query, status, said):
    refused = await http.get(f"/v1/undo{query}")
    assert refused.status_code == status
    assert said in refused.json()["detail"]
