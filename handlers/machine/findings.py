"""What was found on a machine, and what follows from it: for each use, can it be had here?"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Use(StrEnum):
    """What a machine may be wanted for; each is of use without those below it."""

    CONTAINERS = "containers"
    NETWORK = "network"
    TRAFFIC = "traffic"
    MIGRATION = "migration"


class Grade(StrEnum):
    """`weak`: it works, but less well or less safely than it could; `why` says in what."""

    OK = "ok"
    WEAK = "weak"
    MISSING = "missing"


MEANT_FOR: Mapping[Use, str] = {
    Use.CONTAINERS: "run containers with runc",
    Use.NETWORK: "join them to the network of their environment",
    Use.TRAFFIC: "be the router: DNS and balancer",
    Use.MIGRATION: "move them live",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that a host needs: what was seen of it, why it matters, how it is had.

    `remedies`: a command for each distribution (`debian-12`, `debian-13`), or for `any`.
    """

    use: Use
    name: str
    grade: Grade
    seen: str
    why: str = ""
    remedies: Mapping[str, str] = {}


class Diagnosis(msgspec.Struct, frozen=True):
    """All that was found on a machine that runs `distribution`."""

    distribution: str
    findings: tuple[Finding, ...]

    def missing(self, use: Use) -> tuple[Finding, ...]:
        """Return what is missing for this use."""
        return tuple(one for one in self.findings if one.use is use and one.grade is Grade.MISSING)

    def able(self, use: Use) -> bool:
        """Tell whether the machine can be used so. Without containers there is no migration."""
        needed = (Use.CONTAINERS, use) if use is Use.MIGRATION else (use,)
        return not any(self.missing(one) for one in needed)

    def remedy(self, finding: Finding) -> Mapping[str, str]:
        """Return the command for this machine's distribution; where that is unknown, all of them.

        Nothing for what is well.
        """
        if finding.grade is Grade.OK:
            return {}
        for key in (self.distribution, "any"):
            if key in finding.remedies:
                return {key: finding.remedies[key]}
        return finding.remedies
