"""Where things are said on the bus: every subject, in one place.

`<p>` is the prefix of a region, by default `restow`. Streams are named after it in upper case.
"""

import re

import msgspec

PREFIX_DEFAULT = "restow"
PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Subjects(msgspec.Struct, frozen=True):
    """The subjects and streams of one region."""

    prefix: str = PREFIX_DEFAULT

    def __post_init__(self) -> None:
        if not PREFIX.fullmatch(self.prefix):
            message = f"prefix {self.prefix!r}: use a-z, 0-9 and inner hyphens, at least one"
            raise ValueError(message)

    @property
    def frames(self) -> str:
        """Frames of the journal: `<p>.jnl.frame`."""
        return f"{self.prefix}.jnl.frame"

    @property
    def epoch(self) -> str:
        """The fence: epoch frames, `<p>.jnl.epoch`."""
        return f"{self.prefix}.jnl.epoch"

    def stream(self, name: str) -> str:
        """Return the name of a JetStream stream: JNL, CMD, RES, EVT, USE."""
        return f"{self.prefix}-{name}".upper()

    def service(self, command: str) -> str:
        """Typed door of one command, e.g. `layer.scale`: `<p>.svc.v1.layer.scale`."""
        return f"{self.prefix}.svc.v1.{command}"

    def durable(self, tenant: str, command: str) -> str:
        """Durable door: `<p>.cmd.v1.<tenant>.<noun>.<verb>`, kept by the stream CMD."""
        return f"{self.prefix}.cmd.v1.{tenant}.{command}"

    def durable_of(self, tenant: str) -> str:
        """All commands of one tenant on the durable door."""
        return f"{self.prefix}.cmd.v1.{tenant}.*.*"

    @property
    def durable_all(self) -> str:
        return f"{self.prefix}.cmd.v1.*.*.*"

    def outcome(self, tenant: str, ask: str) -> str:
        """Answer to a command of the durable door: `<p>.res.<tenant>.<id>`."""
        return f"{self.prefix}.res.{tenant}.{token(ask)}"

    @property
    def outcomes_all(self) -> str:
        return f"{self.prefix}.res.>"

    def orders(self, host: str) -> str:
        """Orders to one host's agent (or to `routing`): `<p>.ord.<host>`."""
        return f"{self.prefix}.ord.{host}"

    def reports(self, host: str) -> str:
        """Reports of one host's agent, each a request answered when it is journaled."""
        return f"{self.prefix}.rep.{host}"

    @property
    def reports_all(self) -> str:
        return f"{self.prefix}.rep.*"

    def hello(self, host: str) -> str:
        """An agent says that it is there and wants what it owes: `<p>.hi.<host>`."""
        return f"{self.prefix}.hi.{host}"

    @property
    def hello_all(self) -> str:
        return f"{self.prefix}.hi.*"

    def beat(self, host: str) -> str:
        """A host is there and asks for its lease: `<p>.beat.<host>`."""
        return f"{self.prefix}.beat.{host}"

    @property
    def beats_all(self) -> str:
        return f"{self.prefix}.beat.*"

    def back(self, host: str) -> str:
        """A lost host has cleaned up and asks for a new term: `<p>.back.<host>`."""
        return f"{self.prefix}.back.{host}"

    @property
    def back_all(self) -> str:
        return f"{self.prefix}.back.*"

    def where(self, host: str) -> str:
        """A host says where it is, and asks where others are: `<p>.where.<host>`."""
        return f"{self.prefix}.where.{host}"

    @property
    def where_all(self) -> str:
        return f"{self.prefix}.where.*"

    def network(self, host: str) -> str:
        """A host is told who is where in the networks that it is on: `<p>.net.<host>`."""
        return f"{self.prefix}.net.{host}"

    def peer(self, host: str, verb: str) -> str:
        """Host to host, for the hand-over of a migration: `<p>.peer.<host>.<verb>`."""
        return f"{self.prefix}.peer.{host}.{verb}"

    def usage(self, host: str) -> str:
        """Usage samples, kept for a while by the stream USE: `<p>.use.<host>`."""
        return f"{self.prefix}.use.{host}"

    def event(self, noun: str, name: str) -> str:
        """Public events of one aggregate: `<p>.evt.<noun>.<id>`, kept by the stream EVT."""
        return f"{self.prefix}.evt.{noun}.{name}"

    @property
    def events_all(self) -> str:
        return f"{self.prefix}.evt.>"

    def query(self, name: str) -> str:
        """Typed read: `<p>.qry.v1.<noun>.<verb>`."""
        return f"{self.prefix}.qry.v1.{name}"

    def meta(self, document: str) -> str:
        """Documents of the contract: `<p>.meta.asyncapi`, `<p>.meta.errors`."""
        return f"{self.prefix}.meta.{document}"

    @property
    def leader(self) -> str:
        """Beats of the active engine, to its standbys: `<p>.eng.beat`."""
        return f"{self.prefix}.eng.beat"

    @property
    def here(self) -> str:
        """Who leads answers here; the server tells who asks where nobody does: `<p>.eng.here`."""
        return f"{self.prefix}.eng.here"

    def status(self) -> str:
        """Status of every engine that runs: `<p>.eng.status`."""
        return f"{self.prefix}.eng.status"


def token(text: str) -> str:
    """Return `text` as one token of a subject: what is not a plain letter becomes `_`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)
