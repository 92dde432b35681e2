"""The read API says the same whether its views are in files or in PostgreSQL."""

from uuid import uuid4

import httpx
import pytest

from projections.choice import Choice
from projections.schemas import SchemaShelf
from projections.views import ALL, columns
from tests.projections.journal import MemoryJournal
from tests.views.shelves import reached
from tests.web.conftest import END, FRAMES, served

PAGE = 7


@pytest.fixture
async def sites(tmp_path, postgres):
    """Return two read APIs: one of views in files, one of views in PostgreSQL."""
    shelf = SchemaShelf(postgres.url, f"t{uuid4().hex[:12]}")
    journal = MemoryJournal(FRAMES)
    async with (
        served(journal, tmp_path / "views") as files,
        served(journal, tmp_path, shelf) as database,
    ):
        for site in (files, database):
            await reached(site.keeping, END)
        yield files, database


def choices(view):
    """Yield how lines may be chosen and put in order by each column."""
    for name, kind in columns(view).items():
        yield Choice(view, sort=name, limit=PAGE)
        yield Choice(view, ((name, "ge", 1 if kind is int else "b"),), limit=PAGE)
        yield Choice(
            view, ((name, "ne", 0 if kind is int else "a"),), name, descending=True, limit=PAGE
        )
        if kind is str:
            texts = ("no", "*", "%", "[")
            yield from (Choice(view, ((name, "prefix", text),), limit=PAGE) for text in texts)


async def test_both_choose_and_sort_alike(sites):
    files, database = sites
    many = 0
    async with files.keeping.reading() as (one, _), database.keeping.reading() as (other, _):
        for view in ALL:
            for choice in choices(view):
                found = await one.select(choice)
                assert await other.select(choice) == found, choice
                many += len(found)
            found = await one.select(Choice(view, sort=min(columns(view)), limit=PAGE))
            for place, _ in found[:1]:
                after = Choice(view, sort=min(columns(view)), after=place, limit=PAGE)
                assert await other.select(after) == await one.select(after)
    assert many > 1_000


async def test_both_answer_alike(sites):
    paths = [
        "/v1/status",
        "/v1/projections",
        "/v1/hosts/h01",
        "/v1/hosts/none",
        "/v1/events/7",
        "/v1/events/none",
        "/v1/hosts/%00",
        "/v1/containers?limit=2&as_of=60",
        *(f"/v1/{view.plural}?limit=3" for view in ALL),
    ]
    said = []
    for site in sites:
        async with httpx.AsyncClient(base_url=site.url, timeout=20) as client:
            answers = [await client.get(path) for path in paths]
            nexts = [answer.json().get("next") for answer in answers]
            pages = [
                await client.get(f"{path}&cursor={cursor}")
                for path, cursor in zip(paths, nexts, strict=True)
                if cursor
            ]
            said.append([(one.status_code, one.json()) for one in (*answers, *pages)])
    assert len(said[0]) > len(paths) + 3
    assert said[0] == said[1]
