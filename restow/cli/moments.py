"""How a moment is typed: a position, a time, or so long ago."""

from datetime import datetime

from domain.messages import Instant
from projections.moments import NOW, Moment
from restow.cli.exits import UsageError
from restow.cli.spelling import DURATION, milliseconds


def moment(text: str, now_ms: int) -> Moment:
    """Read `1234`, `-2m` or `2026-11-21T10:00:00Z` as a moment. Raises `UsageError`."""
    if text == "now":
        return NOW
    if text.isdecimal():
        return Moment(position=int(text))
    if text.startswith("-") and DURATION.fullmatch(text):
        return Moment(at=Instant(now_ms + milliseconds(text)))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        message = f"{text!r} is no moment; write a position, -2m, or 2026-11-21T10:00:00Z"
        raise UsageError(message)
    return Moment(at=Instant(int(at.timestamp() * 1_000)))
