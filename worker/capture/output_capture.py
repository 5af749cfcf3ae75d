"""What a function prints and logs, on the two log pipes, without any set-up by the author.

Nothing is held back: what was written is in the pipe before ``write`` returns, and so outlives the process.
What Python knows more of than its bytes (a log record's level, that a traceback is one thing, the
call of an async handler) is said in frames of ``worker.logwire``.  Code that writes to the descriptors
itself, or replaces ``sys.stderr``, gets what it asks for: its bytes as they are.
"""

import builtins
import functools
import io
import itertools
import os
import select
import sys
import warnings
from contextvars import ContextVar
from typing import Any, Callable, Optional

from .. import logwire
from ..imports.import_hooks import once_imported
from ..logwire import ENTRY_MAX_BYTES
from ..serve import current_call, limit_watch

# A tenant that made the pipe non-blocking waits as it would have otherwise; looked at again this often.
POLL_MS = 1000

# What is written in one piece and has this in it is one entry, whoever wrote it.
TRACEBACK = b"Traceback (most recent call last)"

# While a log record is being written: its level.
level: "ContextVar[str]" = ContextVar("cellblock_level", default="")

_entries = itertools.count(1)
_print = print


def _no_call() -> int:
    return 0


class _Calls:
    """Whose call the code that runs now is; 0 for nobody's, and where one call runs at a time."""

    current: Callable[[], int] = staticmethod(_no_call)


class _Pipe(io.RawIOBase):
    """A log pipe under a text stream: every write is whole, and of the call that made it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Descriptor 1 or 2."""
        return self._descriptor

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """All of it; OSError as ``os.write`` has it."""
        data = bytes(data)
        of_level = level.get()
        if data[-1:] == b"\n" and (of_level or (TRACEBACK in data and len(data) <= ENTRY_MAX_BYTES)):
            _put_entry(data, of_level or "error", self._descriptor)
            return len(data)
        call = _Calls.current()
        if call and data:
            for frame in logwire.text(data, call):
                _put(self._descriptor, frame)
        else:
            _put(self._descriptor, data)
        return len(data)


class _Print:
    """``print``, which writes its words, the spaces between them and the newline one by one.

    Into a pipe that is a system call each, and in the front as many pieces to put together.  An object and no
    function: a class may have ``print`` for an attribute, and builtins do not become methods there.
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
        return "print"  # pickled as the builtin that it is known as


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
        rest = memoryview(rest)[written:]  # a signal came in between


def entry(text: str, level: str, kind: bytes = logwire.ENTRY) -> None:
    """One entry on stderr, however many lines it has; a stream of the author's own gets it as text."""
    stream = sys.stderr
    if stream is _Streams.stderr:
        put_entry(text, level, kind=kind)
    elif stream is not None:
        stream.write(text.rstrip("\n") + "\n")


def put_entry(text: str, level: str, kind: bytes = logwire.ENTRY) -> None:
    """One entry, whatever ``sys.stderr`` is."""
    _put_entry(text.encode("utf-8", "backslashreplace"), level, 2, kind)


def _put_entry(data: bytes, level: str, descriptor: int, kind: bytes = logwire.ENTRY) -> None:
    # A key of its own: threads, and children that were forked, may be writing entries too.
    key = (os.getpid() << 16) ^ next(_entries)
    for frame in logwire.entry(data.rstrip(b"\n"), level, _Calls.current(), key, kind):
        _put(descriptor, frame)


class _Streams:
    """Ours, to be known again."""

    stdout: Optional[io.TextIOWrapper] = None
    stderr: Optional[io.TextIOWrapper] = None


def is_ours(stream: Any) -> bool:
    """Whether it is one of our two streams, and none of the author's own."""
    return stream is not None and (stream is _Streams.stdout or stream is _Streams.stderr)


def install() -> None:
    """Unbuffered streams over descriptors 1 and 2; all else when what it concerns is imported."""
    from ..answer import tracebacks  # which write by what is here
    from ..serve import thread_owners

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
    # Python's own filters stay; the text is Python's too, in one piece.
    warnings._showwarnmsg_impl = _show_warning  # type: ignore[attr-defined]
    tracebacks.install()
    thread_owners.watch()
    for name, install_in in (
        ("logging", "install"), ("logging.handlers", "install_in_handlers"),
        ("loguru._handler", "install_in_loguru"), ("structlog._base", "install_in_structlog"),
    ):  # fmt: skip
        once_imported(name, functools.partial(_take_records, install_in))
    once_imported("threading", _take_threading)
    for name in ("os", "subprocess", "_posixsubprocess"):
        once_imported(name, limit_watch.watch)


def _take_records(install_in: str, module: Any) -> None:
    from . import log_records

    getattr(log_records, install_in)(module)


def _take_threading(threading: Any) -> None:
    from ..answer import tracebacks
    from ..serve import thread_owners

    thread_owners.watch_threading(threading)
    tracebacks.watch_threading(threading)
    limit_watch.watch(threading)


def attribute(current: Callable[[], int]) -> None:
    """From now on calls run side by side: each write says whose it is, by ``current()``."""
    _Calls.current = current  # type: ignore[assignment]


def forked() -> None:
    """This process was forked from one that serves calls."""
    if _Calls.current is not _no_call:
        attribute(current_call.number)


def _show_warning(message: Any) -> None:
    """What ``warnings`` does with one that is to be shown, if the author has put nothing else there."""
    text = warnings._formatwarnmsg(message)  # type: ignore[attr-defined]
    try:
        if message.file is None:
            entry(text, "warning")
        else:
            message.file.write(text)
    except OSError:
        pass  # as the library's own has it: a warning that cannot be shown is lost


def flush() -> None:
    """Push out what the function left in its buffers; a stream it closed or replaced is its own affair."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S110 - a tenant's stream may raise anything; the answer matters more
            pass
