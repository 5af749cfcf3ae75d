"""Trace contexts as strangers send them, and what a collector gets."""

from __future__ import annotations

import json

import pytest

from supervisor.front import otlp
from supervisor.front.otlp import Trace, trace_of
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
    assert trace_of([(b"host", b"x"), (b"traceparent", value.encode("latin-1"))]) == found


def test_two_traceparents_are_nobodys() -> None:
    one = (b"traceparent", f"00-{ID}-{PARENT}-01".encode())
    assert trace_of([one, one]) is None
    assert trace_of([]) is None


def test_a_record_is_utf_8_whatever_was_written_and_what_is_empty_is_left_out() -> None:
    document = otlp.logs_of([record("half \udcff \ud800", call_id="", level="critical")])
    (one,) = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    json.dumps(document, ensure_ascii=False).encode()
    assert one["body"] == {"stringValue": "half ? ?"}
    assert one["severityNumber"] == 21
    assert "faas.invocation_id" not in {pair["key"] for pair in one["attributes"]}
