"""Commands as the stream CMD keeps them: whose they are, in their order, until they are removed.

They are read from the stream's leader, tenant by tenant and without a consumer: what is not read
simply stays where it is, so a tenant that must wait holds nobody up and loses its order never.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from email.parser import BytesHeaderParser

import msgspec

from domain.messages import Instant, Tenant
from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.journal.stream import NO_MESSAGE, JetStreamError, api

SUBJECTS_A_PAGE = 100_000
"""JetStream tells the subjects of a stream in pages of so many."""
HEADER_LINE = b"NATS/1.0"


class Command(msgspec.Struct, frozen=True):
    """A command that is kept: its place in the stream, since when, and what was sent."""

    seq: int
    at: Instant
    tenant: Tenant
    name: str
    body: bytes
    headers: Mapping[str, str]


class Backlog(msgspec.Struct, frozen=True):
    """How many commands of whom are kept, and the last place in the stream."""

    waiting: Mapping[Tenant, int]
    last_seq: int


class _State(msgspec.Struct, frozen=True):
    last_seq: int = 0
    subjects: dict[str, int] = {}


class _Page(msgspec.Struct, frozen=True):
    state: _State
    total: int = 0


class _Message(msgspec.Struct, frozen=True):
    seq: int
    subject: str
    time: datetime
    data: bytes = b""
    hdrs: bytes = b""


class _Found(msgspec.Struct, frozen=True):
    message: _Message


class Kept:
    """The stream CMD of a region. All of it raises `BusUnavailableError`, `JetStreamError`."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self.stream = subjects.stream("CMD")
        self._all = subjects.durable_all
        self._of = subjects.durable_of
        self._start = subjects.durable("", "").removesuffix(".")

    async def backlog(self) -> Backlog:
        """Return how many commands of each tenant are kept."""
        waiting: Counter[Tenant] = Counter()
        offset = 0
        while True:
            body = msgspec.json.encode({"subjects_filter": self._all, "offset": offset})
            said = await api(self._bus, f"STREAM.INFO.{self.stream}", body)
            page = msgspec.json.decode(said, type=_Page)
            for subject, count in page.state.subjects.items():
                waiting[self._tenant(subject)] += count
            offset += SUBJECTS_A_PAGE
            if offset >= page.total:
                return Backlog(waiting, page.state.last_seq)

    def _tenant(self, subject: str) -> Tenant:
        return Tenant(subject.removeprefix(self._start).partition(".")[0])

    async def next(self, tenant: Tenant, first: int) -> Command | None:
        """Return a tenant's first command at or after a place, None if there is none."""
        body = msgspec.json.encode({"seq": first, "next_by_subj": self._of(tenant)})
        try:
            said = await api(self._bus, f"STREAM.MSG.GET.{self.stream}", body)
        except JetStreamError as error:
            if error.error.err_code == NO_MESSAGE:
                return None
            raise
        found = msgspec.json.decode(said, type=_Found).message
        _, _, name = found.subject.removeprefix(self._start).partition(".")
        at = Instant(int(found.time.timestamp() * 1_000))
        return Command(found.seq, at, tenant, name, found.data, headers_of(found.hdrs))

    async def remove_before(self, tenant: Tenant, seq: int) -> None:
        """Remove a tenant's commands before a place: they are answered."""
        body = msgspec.json.encode({"filter": self._of(tenant), "seq": seq})
        await api(self._bus, f"STREAM.PURGE.{self.stream}", body)

    async def remove(self, seq: int) -> None:
        """Remove one command, if it is still there."""
        body = msgspec.json.encode({"seq": seq, "no_erase": True})
        try:
            await api(self._bus, f"STREAM.MSG.DELETE.{self.stream}", body)
        except JetStreamError as error:
            if error.error.err_code not in GONE:
                raise


DELETE_FAILED = 10057
GONE = frozenset({NO_MESSAGE, DELETE_FAILED})
"""What JetStream says of a message that somebody removed before."""


def headers_of(raw: bytes) -> Mapping[str, str]:
    """Return the headers of a stored message; of a name that is there twice, the first."""
    lines = raw.removeprefix(HEADER_LINE).lstrip()
    parsed = BytesHeaderParser().parsebytes(lines)
    return {name: str(parsed[name]).strip() for name in parsed}
