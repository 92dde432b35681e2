"""Readings kept open for the pages that follow: a list stays as it was while it is read."""

from collections import OrderedDict
from collections.abc import Callable

from projections.keeping import Live
from projections.sqlite import SqliteReader

PIN_S = 60.0
"""How long a page that follows may be asked for."""
PINS_MAX = 16
"""Readings that are kept open; the one that was used the longest ago is given up first."""


class Pin:
    """A reading that is open, and which views it is of."""

    def __init__(self, live: Live, reader: SqliteReader, until: float) -> None:
        self.live = live
        self.reader = reader
        self.until = until


class Pins:
    """Open readings by their position. A reading that is taken belongs to whoever took it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: OrderedDict[int, Pin] = OrderedDict()

    def take(self, position: int) -> Pin | None:
        """Return the reading at a position, which is in nobody else's hands then."""
        self._expire()
        return self._open.pop(position, None)

    def keep(self, position: int, live: Live, reader: SqliteReader) -> None:
        """Keep a reading open for the next page; if there is one like it, that one suffices."""
        self._expire()
        if position in self._open:
            self._open[position].until = self._clock() + PIN_S
            live.back(reader)
            return
        self._open[position] = Pin(live, reader, self._clock() + PIN_S)
        while len(self._open) > PINS_MAX:
            self._close(next(iter(self._open)))

    def close(self) -> None:
        for position in list(self._open):
            self._close(position)

    def _expire(self) -> None:
        now = self._clock()
        for position in [at for at, pin in self._open.items() if pin.until < now]:
            self._close(position)

    def _close(self, position: int) -> None:
        pin = self._open.pop(position)
        pin.live.back(pin.reader)
