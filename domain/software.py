"""What a container runs: its image, and the application that was deployed into it.

An application comes from an archive or out of a repository. Where it comes from is remembered, not
what was found there: whoever wants the very same thing again names a digest, a tag or a commit.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

NO_BLANKS = r"^[^\s]+\Z"
ARCHIVE_URL = r"^(https|file)://[^\s]+\Z"
REPOSITORY_URL = r"^(https|ssh|git|file)://[^\s]+\Z"
REF = r"^[A-Za-z0-9_][-A-Za-z0-9_./+]*\Z"
SHA256 = r"^[0-9a-f]{64}\Z"

ImageName = Annotated[str, Meta(min_length=1, max_length=255, pattern=NO_BLANKS)]
ArchiveUrl = Annotated[str, Meta(pattern=ARCHIVE_URL, max_length=1_000)]
RepositoryUrl = Annotated[str, Meta(pattern=REPOSITORY_URL, max_length=1_000)]
Ref = Annotated[str, Meta(pattern=REF, max_length=250, description="branch, tag or commit")]
Digest = Annotated[str, Meta(pattern=SHA256, description="SHA-256, in hex")]


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
