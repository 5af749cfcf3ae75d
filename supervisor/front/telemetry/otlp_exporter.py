"""Sends log records and calls to an OpenTelemetry collector: OTLP over HTTP, as JSON, in batches.

To hand over a record or a call costs an append under a lock; a thread sends.  While the collector is away,
the thread keeps its batch and waits longer before each try.  The queue fills meanwhile, and what finds no
room is dropped and counted.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx

from supervisor import __version__
from supervisor.front.outcome.reports import Report
from supervisor.front.telemetry import otlp_encoding
from supervisor.front.telemetry.spans import CallKey, Spans
from supervisor.logs import Record
from supervisor.server_log import Complaint

T = TypeVar("T")
log = logging.getLogger("cellblock.export")

# The bounds of the queue, in items and in memory: some seconds of a busy front.
QUEUE_MAX = 20_000
QUEUE_MAX_CHARS = 16 << 20
# The bounds of one request; collectors take at least 4 MiB by default.
BATCH_MAX = 512
BATCH_MAX_CHARS = 1 << 20
EVERY_S = 1.0
DEADLINE_S = 10.0
PAUSE_FIRST_S = 1.0
PAUSE_MOST_S = 30.0
# After this time the batch is dropped: its collector does not take it, or is gone.
GIVE_UP_S = 120.0
CLOSE_S = 2.0
ANSWER_MAX_BYTES = 64 * 1024
RETRIED = frozenset({408, 429, 502, 503, 504})


class BatchRefused(Exception):
    """The collector refused the batch for good: another try would be in vain."""


class Exporter:
    """One front's exporter, used from its event loop."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        """``endpoint`` is the collector's address without ``/v1/…``; ``headers`` go with each request."""
        self._endpoint = endpoint.rstrip("/")
        self._headers = {
            **headers,
            "content-type": "application/json",
            "user-agent": f"cellblock/{__version__}",
        }
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._records: deque[tuple[Record, otlp_encoding.Span | None]] = deque()
        self._calls: deque[tuple[Report, otlp_encoding.Span]] = deque()
        self._spans = Spans()
        self._chars = 0
        self._closing = False
        self._complaint = Complaint(log)
        self.dropped = 0
        self.sent = 0
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def begin(self, space: str, function: str, call_id: str, headers: Sequence[tuple[str, str]]) -> None:
        """Note that a call has come to a function that exists."""
        self._spans.begin(CallKey(space, function, call_id), otlp_encoding.trace_of(headers))

    def record(self, record: Record) -> None:
        """Queue a log record, or drop and count it where there is no room."""
        size = len(record.text)
        span = self._spans.of(CallKey(record.space, record.name, record.call_id)) if record.call_id else None
        with self._lock:
            if len(self._records) >= QUEUE_MAX or self._chars + size > QUEUE_MAX_CHARS:
                self.dropped += 1
                return
            self._records.append((record, span))
            self._chars += size

    def call(self, report: Report) -> None:
        """Queue a call that has ended, unless its caller said that its trace is not recorded."""
        span = self._spans.end(CallKey(report.space, report.function, report.call_id))
        if not span.trace.is_sampled:
            return
        with self._lock:
            if len(self._calls) >= QUEUE_MAX:
                self.dropped += 1
                return
            self._calls.append((report, span))

    def close(self) -> None:
        """Send what is queued, within CLOSE_S; blocks."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(CLOSE_S)

    # ---- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        # No proxy of the environment: the batches hold tenants' logs.
        with httpx.Client(timeout=DEADLINE_S, trust_env=False, follow_redirects=False) as client:
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._closing, EVERY_S)
                    closing = self._closing
                try:
                    while self._send_some(client):
                        pass
                except Exception:
                    # The last resort of this thread: a bug of ours costs a batch, not the thread.
                    log.exception("exporting: our own mistake")
                if closing:
                    return

    def _send_some(self, client: httpx.Client) -> bool:
        """Send a batch of each kind; returns whether there was any."""
        with self._lock:
            records = _taken(self._records, BATCH_MAX_CHARS, lambda each: len(each[0].text))
            self._chars -= sum(len(record.text) for record, _ in records)
            calls = _taken(self._calls, BATCH_MAX, lambda _: 1)
        if records:
            self._deliver(client, "/v1/logs", otlp_encoding.logs_of(records), len(records))
        if calls:
            self._deliver(client, "/v1/traces", otlp_encoding.spans_of(calls), len(calls))
        return bool(records or calls)

    def _deliver(self, client: httpx.Client, path: str, document: dict[str, Any], count: int) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        give_up_at = time.monotonic() + GIVE_UP_S
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                lost = self._post(client, path, body)
                break
            except BatchRefused as refused:
                lost, why = count, str(refused)
                self._complain(why)
                break
            except httpx.HTTPError as error:
                self._complain(str(error) or type(error).__name__)
            if self._closing or time.monotonic() > give_up_at:
                lost = count
                break
            with self._wake:
                self._wake.wait_for(lambda: self._closing, pause_s)
            pause_s = min(2 * pause_s, PAUSE_MOST_S)
        with self._lock:
            self.dropped += lost
            self.sent += count - lost

    def _post(self, client: httpx.Client, path: str, body: bytes) -> int:
        """How many items the collector rejected.  httpx.HTTPError: try again; BatchRefused: do not."""
        deadline = time.monotonic() + DEADLINE_S
        answer = b""
        with client.stream("POST", self._endpoint + path, content=body, headers=self._headers) as response:
            # From here on the bytes are another server's.
            for chunk in response.iter_raw():
                answer += chunk
                if len(answer) > ANSWER_MAX_BYTES or time.monotonic() > deadline:
                    break
        if response.status_code in RETRIED:
            raise httpx.HTTPStatusError(f"it answered {response.status_code}", request=response.request,
                                        response=response)  # fmt: skip
        if not response.is_success:
            raise BatchRefused(f"it answered {response.status_code} to {path}")
        return _rejected(answer)

    def _complain(self, why: str) -> None:
        self._complaint.warn("cannot export to %s: %s; %d dropped so far", self._endpoint, why, self.dropped)


def _taken(queue: deque[T], most: int, size: Callable[[T], int]) -> list[T]:
    found: list[T] = []
    while queue and len(found) < BATCH_MAX and most > 0:
        found.append(queue.popleft())
        most -= size(found[-1])
    return found


def _rejected(answer: bytes) -> int:
    """The number in an answer's ``partialSuccess``; 0 for any other answer."""
    try:
        partial = json.loads(answer)["partialSuccess"]
        return sum(max(0, int(value)) for name, value in partial.items() if name.startswith("rejected"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return 0
