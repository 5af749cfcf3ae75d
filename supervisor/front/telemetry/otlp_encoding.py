"""Log records and calls as OTLP/JSON, and the W3C's trace context.  Pure.

OTLP's JSON mapping has ids in hexadecimal, 64-bit numbers as text, enumerations as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from supervisor import __version__
from supervisor.front.outcome.outcomes import TABLE
from supervisor.front.outcome.reports import Report
from supervisor.logs import Level, Record

SERVICE = "cellblock"
KIND_SERVER = 2
STATUS_UNSET, STATUS_ERROR = 0, 2
# OTLP has a range of numbers for each level; these are the lowest ones.
SEVERITIES: dict[Level, int] = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
NS = 1_000_000_000


class Trace(NamedTuple):
    """The trace of a call, with hexadecimal ids; ``parent`` is "" where the call begins the trace."""

    trace_id: str
    parent: str
    is_sampled: bool = True


class Span(NamedTuple):
    """A call in a trace."""

    trace: Trace
    span_id: str


def trace_of(headers: Iterable[tuple[str, str]]) -> Trace | None:
    """The trace that a caller's ``traceparent`` names; None unless there is exactly one and it is valid."""
    # From here on the bytes are hostile.
    given = [value for name, value in headers if name == "traceparent"]
    found = _TRACEPARENT.fullmatch(given[0]) if len(given) == 1 else None
    if found is None:
        return None
    version, trace_id, parent, flags, rest = found.groups()
    # Version ff is forbidden, an id is never all zeros, and version 00 has no further fields.
    if version == "ff" or not trace_id.strip("0") or not parent.strip("0") or (rest and version == "00"):
        return None
    return Trace(trace_id, parent, bool(int(flags, 16) & _SAMPLED))


def logs_of(records: Sequence[tuple[Record, Span | None]]) -> dict[str, Any]:
    """The body of a request to ``/v1/logs``: records, each with the span of the call that wrote it."""
    scope = {
        "scope": {"name": SERVICE, "version": __version__},
        "logRecords": [_log(*each) for each in records],
    }
    return {"resourceLogs": [{"resource": _resource(), "scopeLogs": [scope]}]}


def spans_of(calls: Sequence[tuple[Report, Span]]) -> dict[str, Any]:
    """The body of a request to ``/v1/traces``: calls that have ended."""
    scope = {"scope": {"name": SERVICE, "version": __version__}, "spans": [_span(*each) for each in calls]}
    return {"resourceSpans": [{"resource": _resource(), "scopeSpans": [scope]}]}


def _resource() -> dict[str, Any]:
    return {"attributes": _attributes((("service.name", SERVICE), ("service.version", __version__)))}


def _log(record: Record, span: Span | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "timeUnixNano": str(record.timestamp),
        "observedTimeUnixNano": str(record.timestamp),
        "severityNumber": SEVERITIES[record.level],
        "severityText": record.level,
        "body": {"stringValue": _text(record.text)},
        "attributes": _attributes(
            (
                ("cellblock.space", record.space),
                ("faas.name", record.name),
                ("faas.version", str(record.version)),
                ("faas.instance", record.instance),
                ("faas.invocation_id", record.call_id),
                ("log.iostream", record.stream),
            )
        ),
    }
    if span is not None:
        found |= {
            "traceId": span.trace.trace_id,
            "spanId": span.span_id,
            "flags": _SAMPLED if span.trace.is_sampled else 0,
        }
    return found


def _span(report: Report, of_call: Span) -> dict[str, Any]:
    end_ns = int(report.at * NS)
    span: dict[str, Any] = {
        "traceId": of_call.trace.trace_id,
        "spanId": of_call.span_id,
        "name": f"{report.space}/{report.function}",
        "kind": KIND_SERVER,
        "startTimeUnixNano": str(end_ns - int(report.total_s * NS)),
        "endTimeUnixNano": str(end_ns),
        "attributes": _attributes(
            (
                ("cellblock.space", report.space),
                ("faas.name", report.function),
                ("faas.version", str(report.version)),
                ("faas.instance", report.instance),
                ("faas.invocation_id", report.call_id),
                ("faas.coldstart", report.init_s > 0),
                ("http.response.status_code", report.status),
                ("cellblock.outcome", report.outcome.value),
                ("cellblock.queue_seconds", report.queue_s),
                ("cellblock.init_seconds", report.init_s),
                ("cellblock.exec_seconds", report.exec_s),
                ("cellblock.cpu_seconds", report.cpu_s),
                ("cellblock.peak_bytes", report.peak_bytes),
            )
        ),
        "status": {"code": STATUS_ERROR if TABLE[report.outcome].level != "info" else STATUS_UNSET},
    }
    if of_call.trace.parent:
        span["parentSpanId"] = of_call.trace.parent
    return span


def _attributes(pairs: Iterable[tuple[str, str | int | float | bool]]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in pairs if value != ""]


def _value(value: str | int | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": _text(value)}


def _text(text: str) -> str:
    # A collector refuses a whole batch for one lone surrogate, which is no UTF-8.
    return text.encode("utf-8", "replace").decode()
