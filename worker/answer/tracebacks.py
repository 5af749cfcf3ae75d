"""Shows each exception and stack as one entry of the log, without the platform's own frames.

The texts are Python's.  Its C code would write a traceback line by line, past our streams; here the lines are
collected and written at once.
"""

import functools
import io
import sys
import traceback
from typing import Any, Iterator, Set

from ..capture import output_capture
from . import own_frames

# Code of ours that claims a library's file name, so that the library takes it for its own (``log_records``).
HIDDEN_CODE: "Set[Any]" = set()

_print_exception = traceback.print_exception


def install() -> None:
    """Replace what ``traceback`` and ``sys`` use to show exceptions, for this process."""
    traceback.print_exception = _print_whole
    for name in ("walk_stack", "walk_tb", "_walk_tb_with_full_positions"):
        walk = getattr(traceback, name, None)
        if walk is not None:  # the last one is in Python 3.11 and later
            setattr(traceback, name, _without_ours(walk))
    sys.unraisablehook = sys.__unraisablehook__ = _unraisable  # type: ignore[misc]


def _without_ours(walk: Any) -> Any:
    @functools.wraps(walk)
    def walked(where: Any) -> Iterator[Any]:
        items: Iterator[Any] = walk(where)
        if where is None:  # it begins a fixed number of frames above itself, and ours would be one more
            return items
        return (item for item in items if not _is_ours(item[0]))

    return walked


def _is_ours(frame: Any) -> bool:
    code = frame.f_code
    # The outermost frame is the command line that started the zygote.
    is_first = frame.f_back is None and code.co_filename == "<string>"
    return is_first or code in HIDDEN_CODE or code.co_filename.startswith(own_frames.PLATFORM_FILES)


def watch_threading(threading: Any) -> None:
    """Replace the hook that shows what a thread raised."""
    threading.excepthook = threading.__excepthook__ = _thread_raised


def _print_whole(*args: Any, **kwargs: Any) -> None:
    """``traceback.print_exception`` that writes in one piece; ``file`` is its fifth argument."""
    file = args[4] if len(args) > 4 else kwargs.pop("file", None)
    if file is None:
        file = sys.stderr
    is_ours = output_capture.is_ours(file)
    into: Any = io.StringIO() if is_ours else file
    if len(args) > 4:
        _print_exception(*args[:4], into, *args[5:], **kwargs)
    else:
        _print_exception(*args, file=into, **kwargs)
    if is_ours:
        file.write(into.getvalue())


def _thread_raised(args: Any) -> None:
    """``threading.excepthook``."""
    if args.exc_type is SystemExit or sys.stderr is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
    output_capture.entry("Exception in thread %s:\n%s" % (name, "".join(lines)), "error")


def _unraisable(args: Any) -> None:
    """``sys.unraisablehook``: for a ``__del__``, an exit function, a thread of ``_thread``."""
    if sys.stderr is None:
        return
    text = args.err_msg or ("" if args.object is None else "Exception ignored in")
    if args.object is not None:
        try:
            shown = repr(args.object)
        except Exception:
            shown = "<object repr() failed>"
        text += ": " + shown
    elif text:
        text += ":"
    lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
    try:
        output_capture.entry(text + "\n" * bool(text) + "".join(lines), "error")
    except OSError:
        pass  # as the interpreter's own hook does
