"""Trace contexts as strangers send them, and what a collector gets."""

from __future__ import annotations

import json

import pytest

from supervisor.front.telemetry import otlp_encoding
from supervisor.front.telemetry.otlp_encoding import Span, Trace, trace_of
from supervisor.front.telemetry.spans import ENDED_MOST, RUNNING_MOST, CallKey, Spans
from tests.support.logrecords import record

ID, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (f"00-{ID}-{PARENT}-01", Trace(ID, PARENT, True)),
        (f"00-{ID}-{PARENT}-00", Trace(ID, PARENT, False)),
        (f"00-{ID}-{PARENT}-03", Trace(ID, PARENT, True)),
        # A later version may say more.
        (f"01-{ID}-{PARENT}-01-more", Trace(ID, PARENT, True)),
        (f"00-{ID}-{PARENT}-01-more", None),
        (f"ff-{ID}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{ID}-{'0' * 16}-01", None),
        (f"00-{ID.upper()}-{PARENT}-01", None),
        (f"00-{ID}-{PARENT}", None),
        (f"00-{ID}-{PARENT}-01\n", None),
        ("", None),
        ("\xff" * 5000, None),
    ],
)
def test_a_traceparent_is_taken_as_the_w3c_has_it_or_not_at_all(value: str, found: Trace | None) -> None:
    assert trace_of([("host", "x"), ("traceparent", value)]) == found


def test_two_traceparents_are_nobodys() -> None:
    one = ("traceparent", f"00-{ID}-{PARENT}-01")
    assert trace_of([one, one]) is None
    assert trace_of([]) is None


def test_a_record_is_utf_8_whatever_was_written_and_what_is_empty_is_left_out() -> None:
    document = otlp_encoding.logs_of([(record("half \udcff \ud800", call_id="", level="critical"), None)])
    (one,) = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    json.dumps(document, ensure_ascii=False).encode()
    assert one["body"] == {"stringValue": "half ? ?"}
    assert one["severityNumber"] == 21
    assert "faas.invocation_id" not in {pair["key"] for pair in one["attributes"]}


def test_a_record_of_a_call_says_which_span_it_was_written_in() -> None:
    trace = Trace(ID, PARENT, False)
    document = otlp_encoding.logs_of([(record("x"), Span(trace, "00f067aa0ba902b7")), (record("y"), None)])
    first, second = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert (first["traceId"], first["spanId"], first["flags"]) == (ID, "00f067aa0ba902b7", 0)
    assert "traceId" not in second


def test_a_calls_span_is_known_while_it_runs_and_for_some_time_after() -> None:
    spans, key = Spans(), CallKey("space", "function", "call")
    assert spans.of(key) is None
    spans.begin(key, Trace(ID, PARENT))
    span = spans.of(key)
    assert span is not None
    assert span.trace == Trace(ID, PARENT)
    assert spans.of(key._replace(space="other")) is None
    assert spans.end(key) == span == spans.of(key)
    for number in range(ENDED_MOST):
        spans.end(CallKey("space", "function", str(number)))
    assert spans.of(key) is None


def test_calls_that_were_given_one_id_have_a_span_each() -> None:
    spans, key = Spans(), CallKey("space", "function", "call")
    spans.begin(key, Trace(ID, PARENT))
    spans.begin(key, None)
    assert spans.end(key).span_id != spans.end(key).span_id


def test_what_is_remembered_is_bounded() -> None:
    spans = Spans()
    for number in range(RUNNING_MOST + 1):
        spans.begin(CallKey("space", "function", str(number)), None)
    assert spans.of(CallKey("space", "function", str(RUNNING_MOST - 1))) is not None
    assert spans.of(CallKey("space", "function", str(RUNNING_MOST))) is None
