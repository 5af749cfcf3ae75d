"""What a blank worker goes through before it has a function: the code of a first call, with nobody's data.

A forked process copies each page when it first writes to it, and its interpreter counts references in
all of them; the first call would pay for a few hundred such pages.  Nothing of this leaves the process,
and nothing is left of it: no module, no file, no byte on a pipe.
"""

import contextlib
import json
import os
import socket
import sys
from typing import Any, Callable, Dict

import msgpack

from function import _seam
from function.request import Event

from .. import wire
from ..answer import response
from ..imports import loader
from ..setup_messages import hear, tell
from . import lockdown, rlimits
from .lockdown_state import Materials, tie_from

# The second round fills the caches that need a second run.
ROUNDS = 2
SOURCE = """
import json

COUNT = 1

class Thing:
    def __init__(self, name):
        self.name = name

def handle(req):
    return {"status_code": 200, "headers": {"X-Name": Thing("x").name}, "body": {"n": len(req.body) + COUNT}}
"""
# What nearly every function that uses one of these does first; for the libraries that are there.
FIRST_USES: Dict[str, Callable[[Any], object]] = {
    "numpy": lambda numpy: numpy.arange(3.0).sum(),
    "pandas": lambda pandas: pandas.DataFrame({"a": pandas.Series([1, 2]), "b": ["x", "y"]})["a"].sum(),
    "requests": lambda requests: requests.Request("GET", "http://example/", json={}).prepare(),
}
_HEADERS = (("host", "example"), ("content-type", "application/json"), ("content-length", "2"))


def rehearse() -> None:
    """Take an INIT, import a handler, answer a call of it; all in memory."""
    for _ in range(ROUNDS):
        settings = json.dumps({"secrets": {}, "variables": {}, "env": {}, "text_content_type": "text/plain"})
        body = settings.encode()
        init = wire.encode(wire.INIT, 0, (wire.WIRE_VERSION, "serve", "s", "f", 1, 1, 1 << 20), (), len(body))
        (frame,) = wire.Decoder(wire.TO_CELL).receive(init + body)
        json.loads(frame.body)
        entry = _entry()
        wire.encode(wire.READY, 0, (0, 1, entry.name, sys.version.split()[0]))
        rehearse_a_call(entry.call)
        for name, use in FIRST_USES.items():
            if name in sys.modules:
                # Some other version of it may lack what is used here: then the first call is what it was.
                with contextlib.suppress(Exception):
                    use(sys.modules[name])


def rehearse_tying(materials: Materials) -> None:
    """What the worker does when it is given a function, as far as it changes nothing."""
    tie_from(msgpack.unpackb(msgpack.packb(materials.tie._asdict())))
    rlimits.private_bytes()
    rlimits.of(materials)


def rehearse_placing(materials: Materials) -> None:
    """What pid 1 does then; a message comes over a socket of its own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        tell(ours, **materials.tie._asdict())
        message, _ = hear(theirs)
    materials.tie = tie_from(message)
    lockdown.rehearse_place(materials)


def rehearse_a_call(handle: Callable[[Event], Any]) -> None:
    """Serve one call, from its frame to the frame of its answer."""
    call = wire.encode(wire.CALL, 1, ("POST", "/", "a=b", "c", 1000), _HEADERS, 2)
    (frame,) = wire.Decoder(wire.TO_CELL).receive(call + b"{}")
    method, path, query, call_id, _ = frame.head
    token = _seam.current.set(_seam.Invocation(call_id, "f", "s", 1, 0.0))
    event = Event(method, frame.body, list(frame.headers), query, path)
    if "werkzeug" in sys.modules:
        event.headers.get("content-type")
        event.query.get("a")
    answer = response.answer_of(handle(event), "text/plain")
    _seam.current.reset(token)
    wire.encode(wire.ANSWER, 1, (answer.status, 1, 1, 1), answer.headers, len(answer.body))


def _entry() -> loader.EntryPoint:
    """As from a bundle, of a file that is nowhere."""
    file = os.memfd_create("warmup")
    try:
        os.write(file, SOURCE.encode())
        entry = loader.entry_of(loader.imported("warmup", "/proc/self/fd/%d" % file))
    finally:
        os.close(file)
    del sys.modules["warmup"]
    return entry
