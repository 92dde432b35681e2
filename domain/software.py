"""What a container runs: its image, and the application that was deployed into it.

An application comes from an archive or out of a repository. Where it comes from is remembered, not
what was found there: whoever wants the very same thing again names a digest, a tag or a commit.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

ImageName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\s]+$")]
ArchiveUrl = Annotated[str, Meta(pattern=r"^(https|file)://[^\s]+$", max_length=1_000)]
RepositoryUrl = Annotated[str, Meta(pattern=r"^(https|ssh|git|file)://[^\s]+$", max_length=1_000)]
Ref = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][-A-Za-z0-9_./+]*$",
        max_length=250,
        description="branch, tag or commit",
    ),
]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="SHA-256, in hex")]


class Application(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where an application comes from: `archive` (and its digest), or `vcs` and a `ref` of it."""

    archive: str = ""
    sha256: str = ""
    vcs: str = ""
    ref: str = ""

    @property
    def label(self) -> str:
        """Return it in one line, as readers are shown it."""
        return self.archive or f"{self.vcs}@{self.ref or 'HEAD'}"


class Software(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """All that a container runs. `image` is "" where only an application is meant."""

    image: str = ""
    application: Application | None = None

    @property
    def label(self) -> str:
        """Return the application in one line, "" where none was deployed."""
        return self.application.label if self.application else ""
