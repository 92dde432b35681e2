"""The page of metrics, made from the meters of every room."""

from collections.abc import Mapping, Sequence

from domain.meters import BOUNDS_S, Meter
from handlers.agent.meters import METERS as OF_AGENTS
from handlers.engine.meters import METERS as OF_ENGINES
from projections.meters import METERS as OF_READERS
from projections.web.meters import METERS as OF_READ_API

SHOWN: Mapping[str, Sequence[Meter]] = {
    "An engine: `restow engine --name e1 --metrics 127.0.0.1:9101`": OF_ENGINES,
    "The read side: `restow reader --http 127.0.0.1:8080`, or `restow up`": (
        *OF_READ_API,
        *OF_READERS,
    ),
    "An agent process: `restow agent --host h1 --metrics 127.0.0.1:9102`": OF_AGENTS,
}
HEAD = f"""# Metrics

Made from the code by `python -m restow.generate`. Each process serves its own at `/metrics`, as
Prometheus reads it. Nothing is counted by container, tenant or command id. Durations are in
seconds, in ranges up to {BOUNDS_S[0]:g} … {BOUNDS_S[-1]:g}.
What to look at, and when to be woken: [operating](operating.md#metrics-logs-and-traces).
"""


def metrics_page() -> str:
    """Return the page in Markdown."""
    return "\n".join([HEAD, *(section(title, meters) for title, meters in SHOWN.items())])


def section(title: str, meters: Sequence[Meter]) -> str:
    rows = "\n".join(f"| `{one.name}` | {one.kind} | {one.text} |" for one in meters)
    return f"## {title}\n\n| name | kind | what |\n|---|---|---|\n{rows}\n"
