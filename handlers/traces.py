"""Traces: one story from a command to its effects, carried from process to process in headers.

OpenTelemetry's own words are used (`traceparent`). Where nobody set up its SDK nothing is begun;
what came in is passed on all the same.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import msgspec
from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind

from domain.decider import Ask, Commit
from domain.facts import Fact
from domain.messages import AskId, OrderId, Tenant
from domain.orders import OrderIssued

HEADER = "traceparent"
FRAME = "Restow-Traces"
"""The header of a frame: which traces its commits belong to, as JSON by their asks."""
TRACES_A_FRAME_MAX = 16
"""More than these are told of no frame: headers must stay small beside what a frame may hold."""
ORDERS_MAX = 10_000
"""Orders whose trace is remembered; it is of no use once they are answered."""

Headers = Mapping[str, Any]
TRACER = trace.get_tracer("restow")
NONE = nullcontext()
"""To be in no trace: most messages come in none."""


def is_on() -> bool:
    """Tell whether anybody listens: an SDK is set up in this process."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)


def carried(headers: Headers | None) -> AbstractContextManager[None]:
    """Be in the trace that came with a message, during the block."""
    return NONE if not headers or HEADER not in headers else _within(headers[HEADER])


@contextmanager
def _within(said: Any) -> Generator[None]:
    carrier = {HEADER: said if isinstance(said, str) else "".join(said[:1])}
    token = contexts.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        contexts.detach(token)


def headers_of(context: Context | None = None) -> dict[str, str]:
    """Return what carries a trace, the one that we are in unless another is given; {}: none."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    return carrier


class Traces:
    """What an engine remembers of the traces of what it is asked."""

    def __init__(self) -> None:
        self._on = is_on()
        self._asked: dict[tuple[AskId, Tenant], Span] = {}
        self._orders: OrderedDict[OrderId, dict[str, str]] = OrderedDict()

    def asked(self, ask: Ask) -> Callable[[object], None] | None:
        """Begin the span of an ask, in the trace that we are in; call what is returned at its end.

        None where nobody listens.
        """
        if not self._on:
            return None
        name = str(ask.command.__struct_config__.tag)
        about = {"restow.ask": ask.id, "restow.actor": ask.actor, "restow.tenant": ask.tenant}
        span = TRACER.start_span(f"ask {name}", kind=SpanKind.SERVER, attributes=about)
        self._asked[ask.id, ask.tenant] = span
        return partial(self._ended, (ask.id, ask.tenant), span)

    def _ended(self, key: tuple[AskId, Tenant], span: Span, _told: object) -> None:
        if self._asked.get(key) is span:
            del self._asked[key]
        span.end()

    def _spans(self, commits: Sequence[Commit[Fact]]) -> Iterator[tuple[Commit[Fact], Span]]:
        for commit in commits:
            span = self._asked.get((commit.ask, commit.tenant))
            if span is not None:
                yield commit, span

    def of_frame(self, commits: Sequence[Commit[Fact]]) -> dict[str, str]:
        """Return the header of the frame of these commits."""
        if not self._on:
            return {}
        told: dict[str, str] = {}
        for commit, span in self._spans(commits):
            if len(told) < TRACES_A_FRAME_MAX:
                told[commit.ask] = headers_of(trace.set_span_in_context(span)).get(HEADER, "")
        return {FRAME: msgspec.json.encode(told).decode("ascii", "ignore")} if told else {}

    def stored(self, commits: Sequence[Commit[Fact]], since_ns: int) -> None:
        """Note that commits are stored, which was begun at `since_ns`; their orders may leave."""
        if not self._on:
            return
        now = time.time_ns()
        for commit, span in self._spans(commits):
            within = trace.set_span_in_context(span)
            span.set_attribute("restow.events", len(commit.events))
            TRACER.start_span("journal", within, start_time=since_ns).end(now)
            for event in commit.events:
                if isinstance(event.fact, OrderIssued):
                    self._issued(event.fact, within)

    def _issued(self, fact: OrderIssued, within: Context) -> None:
        about = {"restow.order": fact.order, "restow.to": fact.to}
        span = TRACER.start_span("order", within, kind=SpanKind.PRODUCER, attributes=about)
        self._orders[fact.order] = headers_of(trace.set_span_in_context(span))
        span.end()
        if len(self._orders) > ORDERS_MAX:
            self._orders.popitem(last=False)

    def of_order(self, order: OrderId) -> dict[str, str] | None:
        """Return the headers of an order's message, None where it is of no trace."""
        return self._orders.get(order)
