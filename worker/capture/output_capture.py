"""Writes what a function prints to the two log pipes, without any set-up by the author.

Nothing is buffered: the text is in the pipe before ``write`` returns, so it outlives the process.  Python
knows more about a text than its bytes: the level of a log record, the end of a traceback, the call of an
async handler.  Frames of ``worker.logwire`` carry that.  Code that writes to the descriptors itself, or
replaces ``sys.stderr``, gets what it asks for: its bytes as they are.

The streams, ``print`` and the hooks are state of this process, as they are in any Python program.  Records of
``logging`` are ``log_records``; what Python shows of exceptions is ``worker.answer.tracebacks``.
"""

import builtins
import io
import itertools
import os
import select
import sys
import warnings
from contextvars import ContextVar
from typing import Any, Callable, Optional

from .. import logwire
from ..logwire import ENTRY_MAX_BYTES
from ..serve import current_call

# How often a write to a full pipe looks again.  A tenant that has made the pipe non-blocking waits as it
# would have without that.
POLL_MS = 1000

# A text with these words that is written in one piece is one entry of the log, whoever wrote it.
TRACEBACK = b"Traceback (most recent call last)"

# The level of the log record that is being written; empty while none is.
record_level: "ContextVar[str]" = ContextVar("cellblock_level", default="")

_entries = itertools.count(1)
_print = print


def _no_call() -> int:
    return 0


class _Attribution:
    """How a write finds the number of its call; 0 if no call's number has to be said."""

    current: Callable[[], int] = staticmethod(_no_call)


class _Pipe(io.RawIOBase):
    """A log pipe below a text stream: writes everything, with the number of its call if need be."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Descriptor 1 or 2."""
        return self._descriptor

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Write all of it; raises OSError as ``os.write`` does."""
        data = bytes(data)
        level = record_level.get()
        if data[-1:] == b"\n" and (level or (TRACEBACK in data and len(data) <= ENTRY_MAX_BYTES)):
            _put_entry(data, level or "error", self._descriptor)
            return len(data)
        call = _Attribution.current()
        if call and data:
            for frame in logwire.text(data, call):
                _put(self._descriptor, frame)
        else:
            _put(self._descriptor, data)
        return len(data)


class _Print:
    """``print`` that writes its line in one piece.

    Python's own writes each word, each space and the newline by itself: into a pipe that is a system call
    each, and the front has as many pieces to put together.  This is an object and no function, because a
    class may have ``print`` for an attribute, and a function would become a method there.
    """

    __name__ = __qualname__ = "print"
    __module__ = "builtins"
    __doc__ = print.__doc__

    def __call__(
        self, *words: Any, sep: Any = None, end: Any = None, file: Any = None, flush: Any = False
    ) -> None:
        stream = sys.stdout if file is None else file
        if is_ours(stream) and (sep is None or type(sep) is str) and (end is None or type(end) is str):
            text = (" " if sep is None else sep).join(map(str, words))
            stream.write(text + ("\n" if end is None else end))
        else:
            _print(*words, sep=sep, end=end, file=file, flush=flush)

    def __reduce__(self) -> str:
        return "print"  # pickled as the builtin of that name


def _put(descriptor: int, data: bytes) -> None:
    rest: Any = data
    while True:
        try:
            written = os.write(descriptor, rest)
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll(POLL_MS)
            continue
        if written == len(rest):
            return
        rest = memoryview(rest)[written:]  # a signal interrupted the write


def entry(text: str, level: str, kind: bytes = logwire.ENTRY) -> None:
    """Write one entry to stderr, however many lines it has; a stream of the author's own gets it as text."""
    stream = sys.stderr
    if stream is _Streams.stderr:
        put_entry(text, level, kind=kind)
    elif stream is not None:
        stream.write(text.rstrip("\n") + "\n")


def put_entry(text: str, level: str, kind: bytes = logwire.ENTRY) -> None:
    """Write one entry to descriptor 2, whatever ``sys.stderr`` is."""
    _put_entry(text.encode("utf-8", "backslashreplace"), level, 2, kind)


def _put_entry(data: bytes, level: str, descriptor: int, kind: bytes = logwire.ENTRY) -> None:
    # The key tells this entry from others that threads and forked children write at the same time.
    key = (os.getpid() << 16) ^ next(_entries)
    for frame in logwire.entry(data.rstrip(b"\n"), level, _Attribution.current(), key, kind):
        _put(descriptor, frame)


class _Streams:
    """Our two streams, so that ``is_ours`` can tell them from the author's."""

    stdout: Optional[io.TextIOWrapper] = None
    stderr: Optional[io.TextIOWrapper] = None


def is_ours(stream: Any) -> bool:
    """Whether it is one of our two streams, and not one of the author's."""
    return stream is not None and (stream is _Streams.stdout or stream is _Streams.stderr)


def install() -> None:
    """Replace ``sys.stdout``, ``sys.stderr``, ``print`` and the text of warnings."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(
            _Pipe(descriptor),  # type: ignore[arg-type]
            "utf-8",
            errors="backslashreplace",
            line_buffering=True,
            write_through=True,
        )
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)
        setattr(_Streams, name, stream)
    builtins.print = _Print()  # type: ignore[assignment]
    # The filters and the text of warnings stay Python's; only the text is written in one piece.
    warnings._showwarnmsg_impl = _show_warning  # type: ignore[attr-defined]


def attribute(current: Callable[[], int]) -> None:
    """From now on each write carries the call number that ``current()`` returns, unless that is 0."""
    _Attribution.current = current  # type: ignore[assignment]


def after_fork() -> None:
    """In a child of a process that serves calls: each write carries the number of its call."""
    if _Attribution.current is not _no_call:
        attribute(current_call.number)


def _show_warning(message: Any) -> None:
    """Show a warning, in place of ``warnings._showwarnmsg_impl``; an author's own hook comes before it."""
    text = warnings._formatwarnmsg(message)  # type: ignore[attr-defined]
    try:
        if message.file is None:
            entry(text, "warning")
        else:
            message.file.write(text)
    except OSError:
        pass  # as in the library: a warning that cannot be shown is lost


def flush() -> None:
    """Flush both streams; a stream that the function has closed or replaced is its own affair."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S110 - a tenant's stream may raise anything; the answer matters more
            pass
