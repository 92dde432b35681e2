"""The contract with everybody outside: commands, events, replies, problems, in one catalogue.

Clients see nothing of Restow but this. `decode_command`, `make_ask` and `reply_body` are all that a
door needs; the schemas, the AsyncAPI document and the pages under `docs/` come from the same lists.
"""

from domain.contracts.asks import TENANT_MAX, Asker, fingerprint, is_id, make_ask
from domain.contracts.catalogue import COMMANDS, CONTRACT_VERSION, EVENTS, public_type
from domain.contracts.checks import check
from domain.contracts.decoding import (
    CLOUD_EVENT,
    REQUEST_BYTES_MAX,
    decode_command,
    unknown_command,
)
from domain.contracts.replies import PlannedEvent, Reply, reply_body, reply_to, within_bus

__all__ = [
    "CLOUD_EVENT",
    "COMMANDS",
    "CONTRACT_VERSION",
    "EVENTS",
    "REQUEST_BYTES_MAX",
    "TENANT_MAX",
    "Asker",
    "PlannedEvent",
    "Reply",
    "check",
    "decode_command",
    "fingerprint",
    "is_id",
    "make_ask",
    "public_type",
    "reply_body",
    "reply_to",
    "unknown_command",
    "within_bus",
]
