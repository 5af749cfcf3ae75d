"""An exception of tenant code as the four fields that a caller sees, and as a traceback for the log."""

import linecache
import sys
import traceback
from typing import Any, NamedTuple

from worker import capture, logwire, places

# Of this package no frame is an author's business, wherever in a traceback it stands.
_OURS = __file__.rpartition("/")[0] + "/"

TYPE_MAX_CHARS = 256
INFO_MAX_CHARS = 4096
CODE_MAX_CHARS = 512
LINE_MAX = 1 << 31
CAUSES_MOST = 50


class Failure(NamedTuple):
    """``line`` is 0 and ``code`` empty where there is no line to name."""

    exception_type: str
    exception_info: str
    line: int
    code: str


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as second:  # a tenant's __str__ may raise anything
        return "<%s whose str raises %s>" % (type(value).__name__, type(second).__name__)


def _clean(text: str, most: int) -> str:
    """Cut, and with lone surrogates replaced, so that the wire can carry it."""
    return text[:most].encode("utf-8", "replace").decode()


def failure_of(error: BaseException) -> Failure:
    """The author's own innermost line where there is one, else the innermost line of all."""
    # Parsers of other languages raise SyntaxError by hand, with anything in it.
    if isinstance(error, SyntaxError) and type(error.lineno) is int and 0 < error.lineno <= LINE_MAX:
        line: int = error.lineno
        code = error.text if isinstance(error.text, str) else ""
        info = _text(error.msg)
        if error.filename and isinstance(error.filename, str):
            info = "%s (%s)" % (info, error.filename.rpartition("/")[2])
    else:
        info = _text(error)
        line, code = _innermost(error.__traceback__)
    return Failure(
        _clean(type(error).__name__, TYPE_MAX_CHARS),
        _clean(info, INFO_MAX_CHARS),
        line,
        _clean(code.strip(), CODE_MAX_CHARS),
    )


def _innermost(trace: Any) -> Any:
    """``(line, code)`` of the last frame in the bundle, or of the last frame."""
    # Walked by hand: traceback.extract_tb reads every line of a traceback that a tenant can make
    # as long as the recursion limit allows.
    own = last = None
    while trace is not None:
        last = trace
        if trace.tb_frame.f_code.co_filename.startswith(places.function_dir):
            own = trace
        trace = trace.tb_next
    chosen = own or last
    if chosen is None or chosen.tb_frame.f_code.co_filename.startswith(_OURS):
        return 0, ""
    line = max(0, chosen.tb_lineno or 0)  # None or -1 where the code has no line table
    return line, linecache.getline(chosen.tb_frame.f_code.co_filename, line)


def _without_ours(shown: Any, depth: int = 0) -> None:
    """The exceptions that led to it, too; their number is bounded by the recursion that made them."""
    if shown is None or depth > CAUSES_MOST:
        return
    shown.stack[:] = [frame for frame in shown.stack if not frame.filename.startswith(_OURS)]
    for other in (shown.__cause__, shown.__context__, *(getattr(shown, "exceptions", None) or ())):
        _without_ours(other, depth + 1)


def print_traceback(error: BaseException) -> None:
    """The traceback on stderr, without the frames of the platform, which are no author's business."""
    trace = error.__traceback__
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(places.function_dir):
        trace = trace.tb_next
    try:
        shown = traceback.TracebackException(type(error), error, trace or error.__traceback__)
        _without_ours(shown)
        capture.entry("".join(shown.format()), "error", logwire.END)
    except Exception as second:  # the tenant may have replaced sys.stderr, or __str__ may raise
        fallback = "%s (its traceback cannot be shown: %s)\n" % (type(error).__name__, type(second).__name__)
        stream = sys.__stderr__
        if stream is not None:
            stream.write(fallback)
