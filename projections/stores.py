"""What a store of the views must do, whatever it is made of; and how it says that it cannot.

Views are kept in generations: one is used, a rebuild makes the next one beside it. A generation
has one writer and any number of readers. `projections.files` keeps them in SQLite files,
`projections.postgres` in schemas of a PostgreSQL database.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from projections.batches import Batch, Checkpoint, Kept
from projections.choice import Choice, Found
from projections.views import View

FORMAT = 1
"""How the tables are laid out; a larger number is of a newer Restow."""

Generation = int
"""The number of a generation; a later one has a larger number."""


class StoreDamagedError(RuntimeError):
    """It is not what was written. It is put aside, and the views are built anew."""


class StoreTooNewError(RuntimeError):
    """A newer Restow made it."""


class StoreLockedError(RuntimeError):
    """Not now: another process has it for too long, the disk is full, the server is away."""


class StoreSlowError(RuntimeError):
    """A reading took longer than it may."""


class MovedOnError(RuntimeError):
    """The store does not stand where the batch begins: somebody else writes it."""


class ShelfInUseError(RuntimeError):
    """Another process writes, or rebuilds, these views."""


class Reader(Protocol):
    """One reader of a generation: one reading at a time, all of it at one position.

    Whatever it does raises the errors of this module.
    """

    @property
    def sound(self) -> bool:
        """Whether it can be used again."""
        ...

    async def check(self) -> None:
        """Read all of the generation. Raises `StoreDamagedError`."""
        ...

    async def is_of_today(self) -> bool:
        """Tell whether this version of Restow made it; another one's is built anew."""
        ...

    async def begin(self) -> Checkpoint:
        """Begin a reading; return the checkpoint that all of it is true at."""
        ...

    async def end(self) -> None:
        """End the reading, if there is one. Raises nothing."""
        ...

    async def get(self, view: View, key: str) -> bytes | None:
        """Return one line as JSON."""
        ...

    async def select(self, choice: Choice, within_s: float | None = None) -> list[Found]:
        """Return lines as they stand in lists, each with its place.

        Raises `StoreSlowError` where that takes longer than `within_s`.
        """
        ...

    async def count(self, view: View) -> int:
        """Return how many lines a view has."""
        ...

    def rows(self, view: View) -> AsyncIterator[tuple[Any, ...]]:
        """Yield all of a view, as it is kept, in the order of its keys."""
        ...

    def state(self) -> AsyncIterator[tuple[Any, ...]]:
        """Yield what the fold goes on from, as it is kept, in the order of its keys."""
        ...

    async def close(self) -> None: ...


class Store(Protocol):
    """The one writer of a generation. Whatever it does raises the errors of this module."""

    async def check(self) -> None:
        """Read all of the generation. Raises `StoreDamagedError`."""
        ...

    async def is_of_today(self) -> bool:
        """Tell whether this version of Restow made it; another one's is built anew."""
        ...

    async def kept(self) -> Kept:
        """Return what the fold goes on from."""
        ...

    async def write(self, batch: Batch) -> None:
        """Write a batch and its checkpoint, all or nothing; what is written already, not again.

        Raises `MovedOnError` where the store stands neither before the batch nor behind it.
        """
        ...

    async def close(self) -> None: ...


class Past(Protocol):
    """Views as they were at a moment. Whatever it does raises the errors of this module."""

    async def open(self) -> Reader:
        """Open one more connection."""
        ...

    async def remove(self) -> None:
        """Remove it; readers that are open may fail from now on. Raises nothing."""
        ...


class Shelf(Protocol):
    """All generations of one region's views. What is `beside` is not to be used yet."""

    def name(self, generation: Generation) -> str:
        """Return what a generation is called where it is kept, for people."""
        ...

    async def current(self) -> Generation | None:
        """Return the generation that is used; None where there is none, or it is gone."""
        ...

    async def fresh(self) -> Generation:
        """Return a generation that was never there."""
        ...

    async def use(self, generation: Generation) -> None:
        """Let a generation be the one that is used."""
        ...

    async def finish(self, generation: Generation) -> None:
        """Let what was built beside, and closed, be a generation like others."""
        ...

    async def discard(self, generation: Generation) -> None:
        """Remove what is being built beside; nothing where there is nothing."""
        ...

    async def tidy(self, keep: Generation) -> bool:
        """Remove the generations before `keep`; False: one is being read, so ask again later."""
        ...

    async def store(self, generation: Generation, *, beside: bool = False) -> Store:
        """Open a generation for writing, or make it; within `writing`, or `rebuilding` beside."""
        ...

    async def reader(self, generation: Generation, *, beside: bool = False) -> Reader:
        """Open a generation for reading. Raises `StoreDamagedError` where it is gone."""
        ...

    async def past(self, today: Generation, batch: Batch, bounds: Mapping[str, str]) -> "Past":
        """Keep what was so at a moment, for readers; their lists go on in a generation of today.

        `bounds` are views and the condition, in SQL, that holds for those lines of today that
        there were then. A line that the batch has is read from the batch.
        """
        ...

    async def note(self, text: bytes) -> None:
        """Write down how a rebuild goes, in the place of what was written before."""
        ...

    async def noted(self) -> bytes | None:
        """Return what was written down last; None: nothing."""
        ...

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Be the one process that writes. Raises `ShelfInUseError`."""
        ...

    def rebuilding(self) -> AbstractAsyncContextManager[None]:
        """Be the one process that rebuilds. Raises `ShelfInUseError`."""
        ...

    async def close(self) -> None: ...
