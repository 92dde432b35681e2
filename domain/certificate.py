"""What an operation or a migration kept up, as a certificate says it.

How many containers of its layer were operable at every position from asked to over, the least of
it, and what excused a moment with none. `certifier.py` makes it from events alone, `witness.py`
checks it by another method; they share this shape and no more. Nothing of it is stored.
"""

import msgspec


class Point(msgspec.Struct, frozen=True):
    """From `position` on, `operable` of the layer's `containers` could serve."""

    position: int
    operable: int
    containers: int


class Zero(msgspec.Struct, frozen=True):
    """None was operable from position `since` to `until`, both included; nothing excused is bad.

    `since` is where it fell to none, even if that was before the operation was asked for.
    """

    since: int
    until: int
    excuses: tuple[str, ...] = ()


class Mark(msgspec.Struct, frozen=True):
    """A frame of the journal: the position of its first event, and its hash in hexadecimals."""

    position: int
    hash: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """How a layer was served while `subject`, an operation or a migration, went on.

    `container` is the one that migrated, "" for an operation. `requested` and `finished` are
    positions. `timeline` begins at the first and has every change up to the last. `frames` hold
    those two events, `history` is the SHA-256 of every commit up to that of `finished`, `digest`
    that of the certificate with `digest` left empty.
    """

    subject: str
    kind: str
    outcome: str
    environment: str
    layer: str
    requested: int
    finished: int
    minimum: int
    minimum_at: int
    timeline: tuple[Point, ...]
    container: str = ""
    zeros: tuple[Zero, ...] = ()
    frames: tuple[Mark, ...] = ()
    history: str = ""
    digest: str = ""

    @property
    def holds(self) -> bool:
        """Whether a container was always operable, but for what was excused."""
        return all(zero.excuses for zero in self.zeros)


class Checked(msgspec.Struct, frozen=True):
    """A certificate, what the witness found wrong with it, and whether it is right and holds."""

    certificate: Certificate
    holds: bool
    wrong: tuple[str, ...] = ()
