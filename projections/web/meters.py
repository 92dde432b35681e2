"""What is counted of the read API and of the views behind it, as Prometheus reads it."""

from collections import Counter
from collections.abc import Iterator

from domain.meters import Durations, Family, Meter

POSITION = Meter("restow_views_position", "gauge", "Position that the views are true at.")
BEHIND = Meter("restow_views_behind", "gauge", "Events of the journal that the views do not have.")
GENERATION = Meter("restow_views_generation", "gauge", "Generation of the views that is read.")
LISTENERS = Meter("restow_http_listeners", "gauge", "Streams of changes that are open.")
RESYNCS = Meter("restow_http_resyncs_total", "counter", "Listeners told to read anew.")
REQUESTS = Meter("restow_http_requests_total", "counter", "Requests by route and status.")
SECONDS = Meter("restow_http_seconds", "histogram", "How long requests took, by route.")
MARGIN = Meter(
    "restow_layers_margin",
    "gauge",
    "Running layers with so few operable containers: 0, or 1 of several (at most 1,000).",
)

METERS = (POSITION, BEHIND, GENERATION, LISTENERS, RESYNCS, REQUESTS, SECONDS, MARGIN)


class Meters:
    """Requests by route and status, and how long they took."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.took: dict[str, Durations] = {}

    def count(self, route: str, status: int, seconds: float) -> None:
        self.requests[route, status] += 1
        took = self.took.get(route)
        if took is None:
            took = self.took[route] = Durations()
        took.add(seconds)

    def families(self) -> Iterator[Family]:
        """Yield what was counted."""
        labelled = sorted(self.requests.items())
        yield Family(
            REQUESTS,
            [("", {"route": route, "status": str(status)}, n) for (route, status), n in labelled],
        )
        durations = sorted(self.took.items())
        yield Family(
            SECONDS, [one for route, took in durations for one in took.samples(route=route)]
        )
