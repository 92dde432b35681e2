"""Where views are kept in tests: in files, and in a real PostgreSQL.

A room is one region's shelf, and a hand that reaches into it past all care.
"""

import re
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import apsw
import asyncpg  # type: ignore[import-untyped]
import pytest

from projections.rebuilding import closing as closed
from projections.schemas import SchemaShelf
from projections.shelf import NAME, FileShelf
from projections.stores import FORMAT, Shelf
from projections.views import ALL
from tests.postgres import Postgres
from tests.views.shelves import Content


class Room(Protocol):
    """Views of one region, wherever they are."""

    def shelf(self) -> Shelf: ...

    async def generations(self) -> list[int]: ...

    async def alter(self, sql: str) -> None:
        """Change the generation that is used behind everybody's back."""
        ...

    async def delete(self) -> None:
        """Delete the generation that is used."""
        ...

    async def grow_old(self) -> None:
        """Let the generation that is used be one of a newer Restow."""
        ...


class Files:
    """Views in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def shelf(self) -> Shelf:
        return FileShelf(self.folder)

    async def used(self) -> Path:
        shelf = FileShelf(self.folder)
        used = await shelf.current()
        assert used is not None
        return shelf.path(used)

    async def generations(self) -> list[int]:
        names = [NAME.fullmatch(path.name) for path in self.folder.iterdir()]
        return sorted(int(found[1]) for found in names if found)

    async def alter(self, sql: str) -> None:
        with closing(apsw.Connection(str(await self.used()))) as file:
            file.execute(sql)

    async def delete(self) -> None:
        (await self.used()).unlink()

    async def grow_old(self) -> None:
        await self.alter(f"PRAGMA user_version = {FORMAT + 1}")


class Schemas:
    """Views in a database."""

    def __init__(self, url: str, prefix: str) -> None:
        self.url = url
        self.prefix = prefix

    def shelf(self) -> Shelf:
        return SchemaShelf(self.url, self.prefix)

    async def ask(self, sql: str) -> list[Any]:
        db = await asyncpg.connect(self.url)
        try:
            found: list[Any] = await db.fetch(sql)
        finally:
            await db.close()
        return found

    async def schema(self) -> str:
        shelf = self.shelf()
        used = await shelf.current()
        await shelf.close()
        assert used is not None
        return shelf.name(used)

    async def generations(self) -> list[int]:
        names = [name for (name,) in await self.ask("SELECT nspname FROM pg_namespace")]
        pattern = re.compile(rf"{self.prefix}_views_([0-9]+)")
        return sorted(int(found[1]) for found in map(pattern.fullmatch, names) if found)

    async def alter(self, sql: str) -> None:
        db = await asyncpg.connect(self.url)
        try:
            await db.execute(f'SET search_path TO "{await self.schema()}"')
            await db.execute(sql.replace("x'", "'\\x"))
        finally:
            await db.close()

    async def delete(self) -> None:
        await self.ask(f'DROP SCHEMA "{await self.schema()}" CASCADE')

    async def grow_old(self) -> None:
        await self.alter("UPDATE checkpoint SET format = format + 1")


@pytest.fixture(params=["files", "postgres"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Room:
    """Return an empty room; each test that takes it is run in both kinds."""
    if request.param == "files":
        return Files(tmp_path / "views")
    server: Postgres = request.getfixturevalue("postgres")
    return Schemas(server.url, f"t{uuid4().hex[:12]}")


async def everything(room: Room) -> Content:
    """Return every row of the views that are used, and of the state behind them."""
    shelf = room.shelf()
    try:
        used = await shelf.current()
        assert used is not None
        async with closed(await shelf.reader(used)) as reader:
            await reader.begin()
            rows = {view.name: [row async for row in reader.rows(view)] for view in ALL}
            return {**rows, "state": [row async for row in reader.state()]}
    finally:
        await shelf.close()
