"""`python -m tests.engine.traced URL PREFIX FOLDER`: a whole region in one process, traced.

It creates an environment inside a span of its own and prints all spans, a JSON object a line. A
process of its own, for OpenTelemetry is set up once a process.
"""

import asyncio
import sys
from pathlib import Path

import msgspec
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from domain.subjects import Subjects
from handlers.bus import Address
from restow.settings import Region
from restow.wiring import Places, run_reader
from tests.engine.site import SHOP, site

WITHIN_S = 60.0


async def main(url: str, prefix: str, folder: Path, told: InMemorySpanExporter) -> None:
    subjects, stop = Subjects(prefix), asyncio.Event()
    async with site(url, subjects, folder / "agents") as place:
        await place.engine("e1")
        await place.agents(3)
        region = Region(Address(url), prefix)
        reader = asyncio.create_task(run_reader(region, Places(folder / "reader"), stop))
        with trace.get_tracer("user").start_as_current_span("user"):
            await place.done("environment.create", **SHOP)
        quiet = await place.quiet()
        async with asyncio.timeout(WITHIN_S):
            while seen(told) < quiet.position:
                await asyncio.sleep(0.1)
        stop.set()
        await reader
    for span in told.get_finished_spans():
        print(msgspec.json.encode(line(span)).decode())  # noqa: T201


def seen(told: InMemorySpanExporter) -> int:
    """Return the position up to which the views are told to be."""
    spans = (span.attributes or {} for span in told.get_finished_spans() if span.name == "views")
    return max((int(str(one.get("restow.position", 0))) for one in spans), default=0)


def line(span: ReadableSpan) -> dict[str, object]:
    context = span.get_span_context()
    assert context is not None
    return {
        "name": span.name,
        "trace": f"{context.trace_id:032x}",
        "id": f"{context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else "",
        "attributes": dict(span.attributes or {}),
        "took_ns": (span.end_time or 0) - (span.start_time or 0),
    }


if __name__ == "__main__":
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), exporter))
