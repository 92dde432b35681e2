"""The audit: who did what, when and why, to each aggregate, and how it stood after any version.

Kept by the library `eventsourcing` in an SQLite file of its own, which nothing else in the process
may open. It holds events: commits without any, such as refusals, are not in it.
"""

from projections.audit.audit import (
    Audit,
    AuditDamagedError,
    AuditFeed,
    AuditGapError,
    HistoryLine,
    open_audit,
)
from projections.audit.fold import Known

__all__ = [
    "Audit",
    "AuditDamagedError",
    "AuditFeed",
    "AuditGapError",
    "HistoryLine",
    "Known",
    "open_audit",
]
