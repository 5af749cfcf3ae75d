"""What a blank worker goes through before it has a function: the code of a first call, with nobody's data.

A forked process copies each page when it first writes to it, and its interpreter counts references in
all of them; the first call would pay for a few hundred such pages.  Nothing of this leaves the process,
and nothing is left of it: no module, no file, no byte on a pipe.
"""

import importlib.util
import json
import platform
from typing import Any, Callable

from function import _seam
from function.request import Event
from worker import loader, response, wire

ROUNDS = 2
SOURCE = """
import json

COUNT = 1

class Shape:
    def __init__(self, name):
        self.name = name

def handle(req):
    return {"status_code": 200, "headers": {"X-Name": Shape("x").name}, "body": {"n": len(req.body) + COUNT}}
"""
_HEADERS = (("host", "example"), ("content-type", "application/json"), ("content-length", "2"))


def rehearse() -> None:
    """Take an INIT, import a module, answer a call of it; in memory."""
    for _ in range(ROUNDS):
        settings = json.dumps({"secrets": {}, "variables": {}, "env": {}, "text_content_type": "text/plain"})
        body = settings.encode()
        init = wire.encode(wire.INIT, 0, (wire.WIRE_VERSION, "serve", "s", "f", 1, 1, 1 << 20), (), len(body))
        (frame,) = wire.Decoder(wire.TO_CELL).receive(init + body)
        json.loads(frame.body)
        entry = _import(SOURCE)
        wire.encode(wire.READY, 0, (0, 1, entry.name, platform.python_version()))
        rehearse_a_call(entry.call)


def rehearse_a_call(handle: Callable[[Event], Any]) -> None:
    """From its frame to that of its answer."""
    call = wire.encode(wire.CALL, 1, ("POST", "/", "a=b", "c", 1000), _HEADERS, 2)
    (frame,) = wire.Decoder(wire.TO_CELL).receive(call + b"{}")
    method, path, query, call_id, _ = frame.head
    token = _seam.current.set(_seam.Invocation(call_id, "f", "s", 1, 0.0))
    event = Event(method, frame.body, list(frame.headers), query, path)
    event.headers.get("content-type")
    event.query.get("a")
    answer = response.answer_of(handle(event), "text/plain")
    _seam.current.reset(token)
    wire.encode(wire.ANSWER, 1, (answer.status, 1, 1, 1), answer.headers, len(answer.body))


def _import(source: str) -> loader.Entry:
    spec = importlib.util.spec_from_loader("rehearsal", None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(source, "rehearsal", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - our own text
    return loader.entry_of(module)
