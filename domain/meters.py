"""What is counted of a process, and how Prometheus is told: families of samples.

Nothing is counted by container, by tenant or by whatever a stranger can make up: the number of
samples does not grow with what is asked.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper ends of the ranges that durations are counted in, in seconds."""

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]
"""What is behind the name of the family (mostly nothing), labels, and the value."""


class Meter(msgspec.Struct, frozen=True):
    """One thing that is counted: a `counter` only grows, a `gauge` is as it is, a `histogram`."""

    name: str
    kind: str
    text: str

    def of(self, value: float, **labels: str) -> "Family":
        """Return the family with this one sample."""
        return Family(self, [("", labels, value)])

    def by(self, label: str, counts: Mapping[str, float]) -> "Family":
        """Return the family with a sample for each value of a label."""
        return Family(self, [("", {label: name}, n) for name, n in sorted(counts.items())])


class Family(msgspec.Struct, frozen=True):
    """A meter, and what it shows now."""

    meter: Meter
    samples: Sequence[Sample]


class Durations:
    """How often something took how long."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def samples(self, **labels: str) -> Iterator[Sample]:
        """Return the samples of a histogram."""
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            yield "_bucket", {**labels, "le": bound}, total
        yield "_sum", labels, self.sum_s
        yield "_count", labels, total


Source = Callable[[], Iterable[Family]]


class Board:
    """Where all that counts in a process shows its families."""

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def text(self) -> str:
        """Return what is counted now, as Prometheus reads it."""
        return "".join(told(family) for source in self.sources for family in source())


def told(family: Family) -> str:
    """Return one family as Prometheus reads it."""
    meter = family.meter
    lines = [f"# HELP {meter.name} {meter.text}", f"# TYPE {meter.name} {meter.kind}"]
    for end, labels, value in family.samples:
        inner = ",".join(f'{key}="{escaped(said)}"' for key, said in labels.items())
        place = f"{{{inner}}}" if inner else ""
        lines.append(f"{meter.name}{end}{place} {int(value) if value == int(value) else value}")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
