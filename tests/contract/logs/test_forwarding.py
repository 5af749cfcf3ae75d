"""What leaves the server besides: its own log as JSON, and records and spans for a collector."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.front.telemetry import otlp_exporter as exporting
from supervisor.front.telemetry.otlp_exporter import Exporter
from supervisor.front_start import FrontStart
from supervisor.warden.fronts import TO_FIND_NAMES, front_launch_of
from tests.support.eventually import eventually
from tests.support.http_recorder import Answer, HttpRecorder, json_answer
from tests.support.logrecords import lines, record
from tests.support.server import Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SOURCE = """
import sys
def handle(req):
    print("said", file=sys.stderr)
    if req.body == b"raise":
        raise ValueError
    return {"body": req.headers.get("traceparent", "-")}
"""


@pytest.fixture
def collector() -> Iterator[HttpRecorder]:
    with HttpRecorder() as recorder:
        for path in ("/otel/v1/logs", "/otel/v1/traces"):
            recorder.answer("POST", path, json_answer(200, {}))
        yield recorder


def sent(collector: HttpRecorder, path: str, kind: str) -> list[dict[str, Any]]:
    """The records or spans of all requests, their attributes as a mapping."""
    resource, scope, name = {"logs": ("resourceLogs", "scopeLogs", "logRecords"),
                             "spans": ("resourceSpans", "scopeSpans", "spans")}[kind]  # fmt: skip
    found = []
    for request in list(collector.requests):
        if request.target == path:
            (one,) = request.json[resource]
            for item in one[scope][0][name]:
                values = {pair["key"]: next(iter(pair["value"].values())) for pair in item["attributes"]}
                found.append({**item, "attributes": values})
    return found


def test_records_and_a_span_for_each_call_reach_a_collector_and_the_callers_trace_goes_on(
    collector: HttpRecorder, make_server: Callable[..., Server]
) -> None:
    server = make_server(
        log_format="json", function_logs=True,
        otlp_endpoint=f"{collector.url}/otel", otlp_headers='{"x-key": "the key"}',
    )  # fmt: skip
    server.deploy("says", SOURCE)
    header = f"00-{TRACE}-{PARENT}-01"
    traced = server.call("says", headers={"traceparent": header})
    assert traced.text == header  # the function's own to go on with
    raised = server.call("says", content="raise")
    server.call("says", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})  # its caller does not record it
    assert server.client.post("/spaces/demo/functions/nobody/invoke").status_code == 404
    eventually(lambda: len(sent(collector, "/otel/v1/traces", "spans")) == 2)
    spans = {
        one["attributes"]["faas.invocation_id"]: one for one in sent(collector, "/otel/v1/traces", "spans")
    }
    first, second = spans[traced.headers["x-call-id"]], spans[raised.headers["x-call-id"]]
    assert (first["traceId"], first["parentSpanId"], first["status"]["code"]) == (TRACE, PARENT, 0)
    assert second["traceId"] != TRACE and "parentSpanId" not in second and second["status"]["code"] == 2
    assert second["attributes"]["cellblock.outcome"] == "raised"
    assert int(first["endTimeUnixNano"]) > int(first["startTimeUnixNano"])
    eventually(lambda: [one["body"]["stringValue"] for one in sent(collector, "/otel/v1/logs", "logs")]
               .count("said") == 3)  # fmt: skip
    said = next(
        one for one in sent(collector, "/otel/v1/logs", "logs") if one["body"]["stringValue"] == "said"
    )
    assert said["attributes"]["faas.name"] == "says" and said["attributes"]["log.iostream"] == "stderr"

    def of_first() -> list[dict[str, Any]]:
        return [
            one for one in sent(collector, "/otel/v1/logs", "logs")
            if one["attributes"].get("faas.invocation_id") == traced.headers["x-call-id"]
        ]  # fmt: skip

    eventually(lambda: len(of_first()) == 2)  # what it said, and the platform's report of it
    assert {(one["traceId"], one["spanId"]) for one in of_first()} == {(TRACE, first["spanId"])}
    assert {request.header("x-key") for request in collector.requests} == {"the key"}
    assert server.stop() == 0
    log = [json.loads(line) for line in server.log.splitlines()]
    assert {"cellblock.report", "cellblock.function", "cellblock.warden"} <= {one["logger"] for one in log}
    assert {one["function"] for one in log if one["logger"] == "cellblock.report"} == {"says", "nobody"}


def test_a_front_can_look_for_a_collector_by_its_name_and_only_then(tmp_path: Path) -> None:
    for endpoint in (None, "http://collector.example:4318"):
        launch = front_launch_of(tmp_path, 1000, 1000, FrontStart({"otlp_endpoint": endpoint}, "", []), True)
        for name in TO_FIND_NAMES:
            if Path(name).exists():
                assert (launch.root.files.get(name) == Path(name).read_text()) == (endpoint is not None)


def test_what_a_collector_does_not_take_at_once_is_sent_again_and_what_it_never_takes_is_counted(
    collector: HttpRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "EVERY_S", 0.01)
    monkeypatch.setattr(exporting, "PAUSE_FIRST_S", 0.01)
    answers = [Answer(hang_up=True), Answer(503), Answer(200, b"{}"), Answer(400),
               json_answer(200, {"partialSuccess": {"rejectedLogRecords": "2"}})]  # fmt: skip
    for answer in answers:
        collector.answer("POST", "/again/v1/logs", answer)
    one = Exporter(f"{collector.url}/again/", {})
    one.record(record("first \udcff"))
    eventually(lambda: one.sent == 1)
    assert len(collector.requests) == 3 and len({request.body for request in collector.requests}) == 1
    one.record(record("refused"))
    eventually(lambda: one.dropped == 1)
    for each in lines(5):
        one.record(each)
    eventually(lambda: one.sent + one.dropped == 7)
    assert one.dropped >= 3
    one.close()


def test_a_collector_that_is_away_costs_a_bounded_queue_and_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "QUEUE_MAX", 100)
    one = Exporter("http://127.0.0.1:9", {})
    for each in lines(1000):
        one.record(each)
    assert one.dropped >= 300  # what is in hand beside the queue is a batch
    one.close()
    assert not one._thread.is_alive()
    assert one.sent == 0
