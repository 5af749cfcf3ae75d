"""Every metric: its name, type, unit, labels and meaning.  docs/metrics.md is written from here.

Where OpenFaaS has a metric of the same meaning it has OpenFaaS' name, and ``function_name`` is written as
there, NAME.SPACE.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from supervisor.front.outcome.outcomes import METRIC

Kind = Literal["counter", "gauge", "histogram"]
OF_A_FUNCTION = ("space", "function")


class MetricMeaning(NamedTuple):
    """One metric; ``unit`` is "" for a number of things."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    meaning: str


def _counter(name: str, labels: tuple[str, ...], meaning: str, unit: str = "") -> MetricMeaning:
    return MetricMeaning(name, "counter", unit, labels, meaning)


def _gauge(name: str, labels: tuple[str, ...], meaning: str, unit: str = "") -> MetricMeaning:
    return MetricMeaning(name, "gauge", unit, labels, meaning)


def _histogram(name: str, labels: tuple[str, ...], meaning: str) -> MetricMeaning:
    return MetricMeaning(name, "histogram", "seconds", labels, meaning)


CALLS = METRIC
INVOCATIONS = "gateway_function_invocation_total"
DURATIONS = "gateway_functions_seconds"
RUNNING = "gateway_function_invocation_inflight"
INSTANCES = "gateway_service_count"
QUEUES = "cellblock_queue_seconds"
STARTS = "cellblock_cold_start_seconds"
WAITING = "cellblock_calls_waiting"
MEMORY = "cellblock_function_memory_bytes"
BUILD = "cellblock_build_info"
FRONTS = "cellblock_fronts"
LAYERS = "cellblock_layers"
QUOTA_REFUSALS = "cellblock_quota_refusals_total"

METRICS: tuple[MetricMeaning, ...] = (
    _counter(CALLS, (*OF_A_FUNCTION, "outcome"), "calls that have ended, by outcome"),
    _counter(INVOCATIONS, ("function_name", "code"), "the same calls by status; 0: the caller hung up"),
    _histogram(DURATIONS, ("function_name",), "a call from its head to its answer"),
    _gauge(RUNNING, ("function_name",), "calls that run now"),
    _gauge(INSTANCES, ("function_name",), "instances, idle ones too"),
    _histogram(QUEUES, OF_A_FUNCTION, "the wait of a call for an instance, without its start"),
    _histogram(STARTS, OF_A_FUNCTION, "the start of an instance, of calls that had to wait for one"),
    _gauge(WAITING, OF_A_FUNCTION, "calls that wait for an instance now"),
    _gauge(MEMORY, OF_A_FUNCTION, "memory of all its instances; 0 where nobody counts it", "bytes"),
    _gauge("cellblock_cells", ("state",), "cells by state; `blank` is ready, `growing` is being made"),
    _gauge("cellblock_cells_most", (), "cells that there may be at once: setting `max_cells`"),
    _counter(
        "cellblock_cells_ended_total",
        ("cause",),
        "cells that have ended; `exited` ended by itself, any other cause is why it was killed",
    ),
    _gauge("cellblock_cells_memory_bytes", (), "memory of all cells; 0 where nobody counts it", "bytes"),
    _gauge("cellblock_cells_memory_most_bytes", (), "memory that all cells may have together", "bytes"),
    _gauge(FRONTS, ("state",), "fronts that `answered` this scrape in time, and those `missing` in it"),
    _gauge("cellblock_front_memory_bytes", ("front",), "resident memory of a front", "bytes"),
    _gauge(
        "cellblock_front_loop_lag_seconds",
        ("front",),
        "how late the front's event loop was, at most within the last minute",
        "seconds",
    ),
    _gauge("cellblock_warden_memory_bytes", (), "resident memory of the warden", "bytes"),
    _counter("cellblock_log_records_kept_total", (), "lines and entries of functions' logs that were kept"),
    _counter(
        "cellblock_log_records_dropped_total",
        ("why",),
        "lines that were not: above the function's `limit`, or the `disk` was full or too slow",
    ),
    _counter(
        QUOTA_REFUSALS, ("quota",), "calls and log lines that a quota of their space refused, by the quota"
    ),
    _counter("cellblock_export_dropped_total", (), "records and spans that the collector did not get"),
    _counter("cellblock_request_log_dropped_total", (), "lines of the request log that were lost"),
    _counter("cellblock_store_errors_total", (), "questions to the store that failed or took too long"),
    _counter("cellblock_api_requests_total", ("code",), "requests that were no calls, by status"),
    _gauge(LAYERS, ("status",), "layers of containment; one that is `breached` stops the server's work"),
    _gauge(BUILD, ("version", "python", "tier"), "always 1; the labels say what runs"),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def page_rows() -> list[str]:
    """The table of docs/metrics.md."""
    return [
        f"| `{each.name}` | {each.kind} | {each.unit} | {', '.join(f'`{label}`' for label in each.labels)} "
        f"| {each.meaning} |".replace("|  |", "| |").replace("|  |", "| |")
        for each in METRICS
    ]
