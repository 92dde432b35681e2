"""One process that shows: a feed for the reads and the audit, the relay, and the queries.

The reads are built from the first frame on; only when they have caught up is anything answered.
Whatever goes wrong in a part stops all of them, and the process is started again.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from nats.aio.client import Client

from domain.decider import Frame
from domain.facts import Fact
from domain.subjects import Subjects
from projections.feed import Auditor, Frames, H
from projections.queries import Progress, Queries
from projections.reads import Reads
from projections.relay import Relay
