"""A real HTTP server on a free port of this machine that answers by script and keeps what it was sent."""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Sent:
    """A request as it came: ``target`` is the raw path with its query, ``headers`` in lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What is answered; ``hang_up`` closes the connection without a word."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    hang_up: bool = False


class Local:
    """A server of this process on a free port, any method to ``answer``; use as a context manager."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._any
                raise AttributeError(name)

            def _any(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                answer(self, self.rfile.read(length))

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: what was asked is not printed."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``"""
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may leave at any time; all else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class HttpRecorder(Local):
    """``requests`` is complete once a client has its answer."""

    def __init__(self) -> None:
        super().__init__(self._record)
        self.requests: list[Sent] = []
        self._answers: dict[tuple[str, str], deque[Answer]] = defaultdict(deque)

    def answer(self, method: str, target: str, answer: Answer) -> None:
        """Answer the next request of that method and raw target so; the last answer stays for all others."""
        self._answers[method, target].append(answer)

    def answer_json(self, method: str, target: str, status: int, document: Any) -> None:
        """:meth:`answer` with a JSON document."""
        self.answer(method, target, json_answer(status, document))

    def _record(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        headers = [(name.lower(), value) for name, value in handler.headers.items()]
        self.requests.append(Sent(handler.command, handler.path, headers, body))
        script = self._answers.get((handler.command, handler.path))
        if not script:
            told = f"no answer in the test's script for {handler.command} {handler.path}"
            answer = json_answer(404, {"error": {"status": 404, "message": told, "details": {}}})
        else:
            answer = script.popleft() if len(script) > 1 else script[0]
        handler.close_connection = True
        if answer.hang_up:
            return
        handler.send_response(answer.status)
        for name, value in answer.headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(answer.body)


def json_answer(status: int, document: Any) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, json.dumps(document).encode(), [("Content-Type", "application/json")])


def refusal(status: int, message: str, details: dict[str, Any] | None = None) -> Answer:
    """An answer in the platform's error envelope."""
    return json_answer(status, {"error": {"status": status, "message": message, "details": details or {}}})
