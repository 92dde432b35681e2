"""How long a lease lasts, as it is typed for one engine or for everything on a machine."""

from cyclopts import Parameter

from domain.lease import LEASE_MS_MIN, Terms, terms_of
from restow.cli.exits import UsageError
from restow.cli.spelling import milliseconds

LEASE_USUAL = "20s"
LEASE = Parameter(
    help="How long a host may be silent before what runs there stops, to be restarted elsewhere"
    " a quarter later; the same for all engines of a region."
)


def terms_from(lease: str) -> Terms:
    """Read how long a lease lasts. Raises `UsageError` where that is too short."""
    lease_ms = milliseconds(lease)
    if lease_ms < LEASE_MS_MIN:
        message = f"--lease {lease}: at least {LEASE_MS_MIN // 1_000}s; 20s is usual"
        raise UsageError(message)
    return terms_of(lease_ms)
