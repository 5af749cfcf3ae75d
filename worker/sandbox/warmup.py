"""Warms up a blank worker: it runs the code of a first call, with nobody's data.

A forked process copies a page when it first writes to it, and counting references writes to nearly all of
them.  Without this the first call would pay for a few hundred pages.  Nothing of it leaves the process, and
it leaves nothing behind: no module, no file, no byte on a pipe.
"""

import contextlib
import json
import os
import socket
import sys
from contextvars import copy_context
from typing import Any, Callable, Dict

from function import _seam
from function.request import Event

from .. import wire
from ..imports import loader, namesakes
from ..serve.call_usage import CallUsage
from ..serve.channel import Channel
from ..serve.limit_watch import LastRefusal
from ..serve.served_function import ServedFunction
from ..setup_messages import ProvenLayer, Tie, Tied
from ..setup_socket import hear, packed, tell, unpacked
from . import lockdown, places, rlimits
from .lockdown_state import Materials

# The second round fills the caches that need a second run.
ROUNDS = 2
# About as many as a cell proves.
LAYERS = 24
SOURCE = """
import json

COUNT = 1

class Thing:
    def __init__(self, name):
        self.name = name

def handle(req):
    return {"status_code": 200, "headers": {"X-Name": Thing("x").name}, "body": {"n": len(req.body) + COUNT}}
"""
# What nearly every function does first with each of these libraries; tried for those that are imported.
FIRST_USES: Dict[str, Callable[[Any], object]] = {
    "numpy": lambda numpy: numpy.arange(3.0).sum(),
    "pandas": lambda pandas: pandas.DataFrame({"a": pandas.Series([1, 2]), "b": ["x", "y"]})["a"].sum(),
    "requests": lambda requests: requests.Request("GET", "http://example/", json={}).prepare(),
}
_HEADERS = (("host", "example"), ("content-type", "application/json"), ("content-length", "2"))


class _MuteChannel(Channel):
    """Encodes what it is to send, and drops it."""

    @staticmethod
    def _write(data: bytes) -> None:
        memoryview(data)


def rehearse() -> None:
    """Take an INIT, import a handler, answer a call of it; all in memory."""
    for _ in range(ROUNDS):
        namesakes.contested(places.function_dir)
        entry = _entry()
        wire.encode(wire.READY, 0, (0, 1, entry.name, sys.version.split()[0]))
        rehearse_a_call(entry.call)
        for name, use in FIRST_USES.items():
            if name in sys.modules:
                # A version that lacks what is used here only makes the first call slower.
                with contextlib.suppress(Exception):
                    use(sys.modules[name])


def rehearse_tying(materials: Materials) -> None:
    """Do what the worker does when it gets a function, up to the first step that changes something."""
    unpacked(packed(materials.tie), Tie)
    packed(Tied([ProvenLayer("", "", "") for _ in range(LAYERS)]))
    rlimits.private_bytes()
    rlimits.file_and_own_kib()
    rlimits.of(materials)


def rehearse_placing(materials: Materials) -> None:
    """Do what pid 1 does then, with a message from a socket that is made for this."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        tell(ours, materials.tie)
        materials.tie, _ = hear(theirs, Tie)
    lockdown.rehearse_place(materials)


def rehearse_a_call(handle: Callable[[Event], Any]) -> None:
    """Take an INIT, and serve one call by the code that serves all calls.

    The process of a call with ``fresh`` does so after the import: the space's values stay, a limit that the
    import has met is still to be told, and no code of the author's runs, as a flush of his streams would.
    """

    def looking(event: Event) -> Any:
        if "werkzeug" in sys.modules:
            event.headers.get("content-type")
            event.query.get("a")
        return handle(event)

    values = _seam.CurrentValues.secrets, _seam.CurrentValues.variables
    refusal = LastRefusal.take()
    try:
        (init,) = wire.Decoder(wire.TO_CELL).receive(_init())
        served = ServedFunction(_MuteChannel(), init)
        call = wire.encode(wire.CALL, 1, ("POST", "/", "a=b", "c", 1000), _HEADERS, 2)
        (frame,) = wire.Decoder(wire.TO_CELL).receive(call + b"{}")
        copy_context().run(_serve, served, looking, frame)
    finally:
        _seam.CurrentValues.secrets, _seam.CurrentValues.variables = values
        LastRefusal.met = refusal


def _serve(served: ServedFunction, handle: Callable[[Event], Any], frame: wire.Frame) -> None:
    usage = CallUsage()
    served.answer(frame.call, handle(served.begin(frame)), usage)


def _init() -> bytes:
    settings = json.dumps({"secrets": {}, "variables": {}, "env": {}, "text_content_type": "text/plain"})
    body = settings.encode()
    fields = (wire.WIRE_VERSION, "serve", "s", "f", 1, 1, 1 << 20)
    return wire.encode(wire.INIT, 0, fields, (), len(body)) + body


def _entry() -> loader.EntryPoint:
    """The handler, imported as one of a bundle is; its file has no name in any folder."""
    file = os.memfd_create("warmup")
    try:
        os.write(file, SOURCE.encode())
        entry = loader.entry_of(loader.imported("warmup", "/proc/self/fd/%d" % file))
    finally:
        os.close(file)
    del sys.modules["warmup"]
    return entry
