"""Where traces go: to the collector that the environment names, by OTLP; else nowhere.

`OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) switches them on; all else that
OpenTelemetry's SDK reads from the environment holds, sampling above all. The SDK is an extra:
`pip install restow[otel]`.
"""

import os
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

import msgspec
import structlog
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind

from handlers.traces import HEADER, TRACER, is_on
from projections.batches import Batch

log = structlog.stdlib.get_logger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PENDING_MAX = 10_000
"""Traces that wait until the views have them; older ones are not told."""

_traces = msgspec.json.Decoder(dict[str, str])


@contextmanager
def exported(process: str) -> Generator[None]:
    """Export traces of this process during the block, if the environment says where to."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        yield
        return
    try:
        from restow.otel import provider  # noqa: PLC0415 - the SDK is an extra
    except ImportError as error:
        log.warning("traces.off", why=f"{error}; pip install restow[otel]")
        yield
        return
    made = provider(f"restow-{process}")
    trace.set_tracer_provider(made)
    log.info("traces.on", process=process)
    try:
        yield
    finally:
        made.shutdown()


class Shown:
    """The last part of a story: from when a frame was read to when the views have it."""

    def __init__(self) -> None:
        self._pending: deque[tuple[int, str, str, int]] = deque(maxlen=PENDING_MAX)

    def heard(self, position: int, traces: str) -> None:
        """Note the traces of a frame that ends at `position`."""
        if not is_on():
            return
        try:
            found = _traces.decode(traces)
        except msgspec.DecodeError:
            return
        now = time.time_ns()
        self._pending.extend((position, ask, parent, now) for ask, parent in found.items())

    def told(self, batch: Batch) -> None:
        """Tell of the frames that the views have now."""
        upto = batch.checkpoint.position
        while self._pending and self._pending[0][0] <= upto:
            position, ask, parent, since = self._pending.popleft()
            about: dict[str, str | int] = {"restow.ask": ask, "restow.position": position}
            within = propagate.extract({HEADER: parent})
            TRACER.start_span(
                "views", within, kind=SpanKind.CONSUMER, attributes=about, start_time=since
            ).end()
