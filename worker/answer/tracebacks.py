"""What Python shows of exceptions and of stacks: whole, and without the platform's own frames.

The texts are Python's.  What its own code in C would write piece by piece, past our streams, is put together
here and written at once: a traceback is one entry of the log.
"""

import functools
import io
import sys
import traceback
from typing import Any, Iterator, Set

from ..capture import output_capture
from . import own_frames

# Code of ours that says it is a library's, for that library to know it as its own.
HIDDEN: "Set[Any]" = set()

_print_exception = traceback.print_exception


def install() -> None:
    """From now on, for everybody in this process."""
    traceback.print_exception = _print_whole
    for name in ("walk_stack", "walk_tb", "_walk_tb_with_full_positions"):
        walk = getattr(traceback, name, None)
        if walk is not None:  # the last one came with 3.11
            setattr(traceback, name, _without_ours(walk))
    sys.unraisablehook = sys.__unraisablehook__ = _unraisable  # type: ignore[misc]


def _without_ours(walk: Any) -> Any:
    @functools.wraps(walk)
    def walked(where: Any) -> Iterator[Any]:
        items: Iterator[Any] = walk(where)
        if where is None:  # it counts frames up to its caller's, and one of ours would be one more
            return items
        return (item for item in items if not _is_ours(item[0]))

    return walked


def _is_ours(frame: Any) -> bool:
    code = frame.f_code
    # The outermost one is the command that began the zygote.
    is_first = frame.f_back is None and code.co_filename == "<string>"
    return is_first or code in HIDDEN or code.co_filename.startswith(own_frames.OURS)


def watch_threading(threading: Any) -> None:
    """What a thread raises."""
    threading.excepthook = threading.__excepthook__ = _thread_raised


def _print_whole(*args: Any, **kwargs: Any) -> None:
    """``traceback.print_exception``, which writes line by line; ``file`` is its fifth argument."""
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
    """``sys.unraisablehook``: of a ``__del__``, an exit function, a thread of ``_thread``."""
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
        pass  # as the interpreter's own has it
