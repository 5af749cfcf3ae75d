"""The rows of a scrape as Prometheus' text, in pieces.  Pure.

A piece takes about a millisecond: whoever writes the text lets calls go on in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest

from supervisor.front.telemetry.metrics import metric_table as table
from supervisor.front.telemetry.metrics.call_metrics import BOUNDS_S, BUCKETS
from supervisor.front.telemetry.metrics.metric_table import BY_NAME, METRICS
from supervisor.link_records import CallsRow, NumberRow, Row

SAMPLES_AT_ONCE = 100
COUNTER_SUFFIX = "_total"
_LABELS_OF_BUCKETS = (*(f"{bound:g}" for bound in BOUNDS_S), "+Inf")


@dataclass
class Scraped:
    """What one scrape found: the warden's rows, and what the front that answers knows by itself."""

    rows: list[Row] = field(default_factory=list)
    numbers: list[tuple[str, tuple[str, ...], float]] = field(default_factory=list)


class _One:
    """A metric as prometheus-client wants to be given it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]


def pieces(scraped: Scraped) -> Iterator[bytes]:
    """The whole text, piece by piece."""
    for metric in _metrics(scraped):
        samples = metric.samples
        for start in range(0, max(1, len(samples)), SAMPLES_AT_ONCE):
            metric.samples = samples[start : start + SAMPLES_AT_ONCE]
            text = generate_latest(_One(metric))
            # Only the first piece of a metric says its help and its type.
            yield text if not start else text.split(b"\n", 2)[2]


def _metrics(scraped: Scraped) -> Iterator[Metric]:
    calls = [row for row in scraped.rows if isinstance(row, CallsRow)]
    numbers: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for row in scraped.rows:
        # What is in no table of ours is a mistake of a front that does not know this version's names.
        if isinstance(row, NumberRow) and row.name in BY_NAME:
            labels = (row.label,) if BY_NAME[row.name].labels else ()
            numbers.setdefault(row.name, []).append((labels, row.value))
    for name, values, number in scraped.numbers:
        numbers.setdefault(name, []).append((values, number))
    for each in METRICS:
        metric = Metric(each.name.removesuffix(COUNTER_SUFFIX), each.meaning, each.kind)
        if each.name in numbers:
            for values, number in sorted(numbers[each.name]):
                metric.add_sample(each.name, dict(zip(each.labels, values, strict=True)), number)
        else:
            for row in calls:
                _add_calls(metric, each.name, row)
        yield metric


def _add_calls(metric: Metric, name: str, row: CallsRow) -> None:
    """The samples that a function's row has for a metric; none for a metric that is no function's."""
    whose = {"space": row.space, "function": row.name}
    # OTHER and UNKNOWN of ``server_totals`` have no space.
    named = {"function_name": row.name if row.space == "-" else f"{row.name}.{row.space}"}
    if name == table.CALLS:
        for outcome, number in sorted(row.outcomes.items()):
            metric.add_sample(name, {**whose, "outcome": outcome}, number)
    elif name == table.INVOCATIONS:
        for code, number in sorted(row.codes.items()):
            metric.add_sample(name, {**named, "code": code}, number)
    elif name == table.DURATIONS:
        _add_histogram(metric, named, row.durations, row.duration_s)
    elif name == table.QUEUES:
        _add_histogram(metric, whose, row.queues, row.queue_s)
    elif name == table.STARTS:
        _add_histogram(metric, whose, row.starts, row.start_s)
    elif name in (table.RUNNING, table.INSTANCES):
        metric.add_sample(name, named, row.running if name == table.RUNNING else row.instances)
    elif name in (table.WAITING, table.MEMORY):
        metric.add_sample(name, whose, row.waiting if name == table.WAITING else row.memory_bytes)


def _add_histogram(metric: Metric, labels: dict[str, str], buckets: Iterable[int], seconds: float) -> None:
    """Prometheus' buckets hold what is in those below them, too."""
    numbers = [*buckets][:BUCKETS]
    if not any(numbers):
        return
    so_far = 0
    for label, number in zip(_LABELS_OF_BUCKETS, numbers + [0] * (BUCKETS - len(numbers)), strict=True):
        so_far += number
        metric.add_sample(metric.name + "_bucket", {**labels, "le": label}, so_far)
    metric.add_sample(metric.name + "_count", labels, so_far)
    metric.add_sample(metric.name + "_sum", labels, seconds)
