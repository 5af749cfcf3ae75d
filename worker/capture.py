"""What a function prints and logs, on the two log pipes, without any set-up by the author.

Nothing is held back: what was written is in the pipe before ``write`` returns, and so outlives the process.
What Python knows more of than its bytes (a log record's level, that a traceback is one thing, the
call of an async handler) is said in frames of ``worker.logwire``.  Code that writes to the descriptors
itself, or replaces ``sys.stderr``, gets what it asks for: its bytes as they are.
"""

import builtins
import importlib.machinery
import io
import itertools
import os
import select
import sys
import traceback
import warnings
from typing import Any, Callable, Dict, Optional

from . import logwire, met

# A tenant that made the pipe non-blocking waits as it would have otherwise; looked at again this often.
POLL_MS = 1000

_entries = itertools.count(1)
_print_exception = traceback.print_exception
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
        is_ours = stream is not None and (stream is _Streams.stdout or stream is _Streams.stderr)
        if is_ours and (sep is None or type(sep) is str) and (end is None or type(end) is str):
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


def put_entry(text: str, level: str, descriptor: int = 2, kind: bytes = logwire.ENTRY) -> None:
    """One entry, whatever ``sys.stderr`` is."""
    data = text.rstrip("\n").encode("utf-8", "backslashreplace")
    # A key of its own: threads, and children that were forked, may be writing entries too.
    key = (os.getpid() << 16) ^ next(_entries)
    for frame in logwire.entry(data, level, _Calls.current(), key, kind):
        _put(descriptor, frame)


class _Streams:
    """Ours, to be known again."""

    stdout: Optional[io.TextIOWrapper] = None
    stderr: Optional[io.TextIOWrapper] = None


def descriptor_of(stream: Any) -> int:
    """1 or 2 for our streams, 0 for one of the author's own."""
    if stream is None:
        return 0
    return 1 if stream is _Streams.stdout else 2 if stream is _Streams.stderr else 0


def install() -> None:
    """Unbuffered streams over descriptors 1 and 2; a root log handler where ``logging`` is imported."""
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
    warnings.simplefilter("default")
    warnings.showwarning = _show_warning
    traceback.print_exception = _one_entry
    once_imported("logging", _take_records)
    once_imported("threading", _take_excepthook)
    for name in ("os", "subprocess", "_posixsubprocess"):
        once_imported(name, met.watch)


def _take_records(_: Any) -> None:
    from . import records

    records.install()


def _take_excepthook(threading: Any) -> None:
    threading.excepthook = _thread_raised
    met.watch(threading)


class _Finder:
    """Finds what somebody waits for as anybody would, and says so once it is imported."""

    def __init__(self) -> None:
        self.waiting: Dict[str, Callable[[Any], None]] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        tell = self.waiting.pop(name, None)
        if tell is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                tell(module)

            loader.exec_module = exec_module
        return spec


_finder = _Finder()


def once_imported(name: str, change: Callable[[Any], None]) -> None:
    """``change(module)`` now, or when somebody imports it.

    Both modules that this is for are large, and each has Python code run in every child of a fork:
    a function that uses neither should not pay for that in each of its processes.
    """
    if name in sys.modules:
        change(sys.modules[name])
        return
    _finder.waiting[name] = change
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)  # type: ignore[arg-type]


def attribute(current: Callable[[], int]) -> None:
    """From now on calls run side by side: each write says whose it is, by ``current()``."""
    _Calls.current = current  # type: ignore[assignment]


def _show_warning(
    message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line)
    try:
        if file is None:
            entry(text, "warning")
        else:
            file.write(text)
    except OSError:
        pass  # as the library's own has it: a warning that cannot be shown is lost


def _thread_raised(args: Any) -> None:
    if args.exc_type is SystemExit or sys.stderr is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
    entry("Exception in thread %s:\n%s" % (name, "".join(lines)), "error")


def _one_entry(*args: Any, **kwargs: Any) -> None:
    """``traceback.print_exception``, which writes line by line; ``file`` is its fifth argument."""
    file = args[4] if len(args) > 4 else kwargs.pop("file", None)
    is_ours = file is None or file is _Streams.stderr
    into: Any = io.StringIO() if is_ours else file
    if len(args) > 4:
        _print_exception(*args[:4], into, *args[5:], **kwargs)
    else:
        _print_exception(*args, file=into, **kwargs)
    if is_ours:
        entry(into.getvalue(), "error")


def flush() -> None:
    """Push out what the function left in its buffers; a stream it closed or replaced is its own affair."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S110 - a tenant's stream may raise anything; the answer matters more
            pass
