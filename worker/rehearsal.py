"""What a blank worker goes through before it has a function: the code of a first call, with nobody's data.

A forked process copies each page when it first writes to it, and its interpreter counts references in
all of them; the first call would pay for a few hundred such pages.  Nothing of this leaves the process,
and nothing is left of it: no module, no file, no byte on a pipe.
"""

import importlib.util
import json
import platform

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
    """Take an INIT and a call, import a module, answer; in memory."""
    for number in range(1, ROUNDS + 1):
        settings = json.dumps({"secrets": {}, "variables": {}, "env": {}, "text_content_type": "text/plain"})
        body = settings.encode()
        init = wire.encode(wire.INIT, 0, (wire.WIRE_VERSION, "serve", "s", "f", 1, 1, 1 << 20), (), len(body))
        call = wire.encode(wire.CALL, number, ("POST", "/", "a=b", "c", 1000), _HEADERS, 2)
        frames = wire.Decoder(wire.TO_CELL).receive(init + body + call + b"{}")
        json.loads(frames[0].body)
        entry = _import(SOURCE)
        wire.encode(wire.READY, 0, (0, 1, entry.name, platform.python_version()))
        method, path, query, call_id, _ = frames[1].head
        token = _seam.current.set(_seam.Invocation(call_id, "f", "s", 1, 0.0))
        event = Event(method, frames[1].body, list(frames[1].headers), query, path)
        event.headers.get("content-type")
        event.query.get("a")
        answer = response.answer_of(entry.call(event), "text/plain")
        _seam.current.reset(token)
        wire.encode(wire.ANSWER, number, (answer.status, 1, 1, 1), answer.headers, len(answer.body))


def _import(source: str) -> loader.Entry:
    spec = importlib.util.spec_from_loader("rehearsal", None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(source, "rehearsal", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - our own text
    return loader.entry_of(module)
