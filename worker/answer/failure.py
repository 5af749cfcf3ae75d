"""An exception of tenant code: the fields that a caller sees, and the traceback that the log shows.

Each question to the exception may run tenant code: its class, its ``__str__``, an ``excepthook``.  None of
that may keep the call from its answer, so each place here that runs such code catches every exception.
"""

import _thread
import linecache
import sys
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from .. import logwire
from ..capture import output_capture
from ..imports import namesakes
from . import handler_source, own_frames
from .mistake import class_name, clipped

TYPE_MAX_CHARS = 256
INFO_MAX_CHARS = 4096
CODE_MAX_CHARS = 512
FILE_MAX_CHARS = 256
LINE_MAX = 1 << 31
# Plain Python writes nothing for exit(); its process simply ends.
EXIT = 'exit() ends its call with a 500; to answer, return {"status_code": ..., "body": ...}\n'
EXIT_OF_IMPORT = (
    "exit() ended the import before there was a handler; "
    'what only a script does belongs under if __name__ == "__main__":\n'
)

# The originals, in case the author replaces them.
_show = sys.__excepthook__
_getline = linecache.getline
# The attributes of SyntaxError itself, whatever a subclass makes of these names.
_syntax = {name: SyntaxError.__dict__[name] for name in ("lineno", "text", "msg", "filename")}


class ExceptionReport(NamedTuple):
    """What a caller learns.  If there is no line to name, ``line`` is 0 and ``code`` is empty."""

    exception_type: str
    exception_info: str
    line: int
    code: str
    file: str


def text_of(value: Any) -> str:
    """``str(value)``, or a note that it raised."""
    try:
        return str.__str__(str(value))
    except BaseException as second:  # a tenant's __str__ may raise anything
        return "<%s whose str raises %s>" % (class_name(value), class_name(second))


def report_of(error: BaseException, entry: Optional[Callable[..., Any]] = None) -> ExceptionReport:
    """The report of an exception, with the author's own innermost line, else the innermost line of all.

    ``entry`` is the function that was called: if there is no line at all, the report names its definition.
    """
    try:
        file, line, code, info = _place_of(error, entry)
    except BaseException:  # tenant code: a property of the class, a loader of the module
        file, line, code, info = "", 0, "", text_of(error)
    return ExceptionReport(
        clipped(class_name(error), TYPE_MAX_CHARS),
        clipped(info, INFO_MAX_CHARS),
        line,
        clipped(code.strip(), CODE_MAX_CHARS),
        clipped(file, FILE_MAX_CHARS),
    )


def _place_of(error: BaseException, entry: Optional[Callable[..., Any]]) -> Tuple[str, int, str, str]:
    """The exception's file, line, code and text."""
    if issubclass(type(error), SyntaxError):
        found = _of_syntax(error)
        if found is not None:
            return found
    path, line = _innermost(error)
    if not path and entry is not None:
        defined = handler_source.definition_of(entry)
        if defined is not None:
            path, line = defined.file, defined.line
    return name_of_file(path), line, _code_at(path, line), text_of(error)


def _code_at(path: str, line: int) -> str:
    try:
        with namesakes.ours:
            return _getline(path, line) if line else ""
    except BaseException:  # an author's module loader, which is asked for the source
        return ""


def _of_syntax(error: Any) -> Optional[Tuple[str, int, str, str]]:
    # Parsers of other languages raise SyntaxError too, with anything in its attributes.
    line, text, message, file = (each.__get__(error) for each in _syntax.values())
    if type(line) is not int or not 0 < line <= LINE_MAX:
        return None
    info = text_of(message)
    if file and type(file) is str:
        info = "%s (%s)" % (info, file.rpartition("/")[2])
    return "", line, text if type(text) is str else "", info


def name_of_file(path: str) -> str:
    """A path as the author knows it: from the bundle's root; for any other file its name alone."""
    if own_frames.is_own(path):
        return handler_source.shown(path)
    return path.rpartition("/")[2]


def _innermost(error: BaseException) -> Tuple[str, int]:
    """Path and line of the last frame in the bundle, the causes' frames included; else of the last frame."""
    # A loop of our own: traceback.extract_tb would read the source of every frame, and a tenant can make a
    # traceback as long as the recursion limit allows.
    chosen = None
    for each in own_frames.shown_chain_of(error):
        # The causes too: Python turns StopIteration in a coroutine into a RuntimeError, whose traceback
        # begins where the coroutine is awaited.
        trace = own_frames.traceback_of(each)
        while trace is not None:
            if own_frames.is_own(own_frames.file_of(trace)):
                chosen = trace
            trace = trace.tb_next
        if chosen is not None:
            break
    trace = own_frames.traceback_of(error)
    while chosen is None and trace is not None:
        if trace.tb_next is None and not own_frames.is_ours(trace):
            chosen = trace
        trace = trace.tb_next
    if chosen is None:
        return "", 0
    return own_frames.file_of(chosen), max(0, chosen.tb_lineno or 0)  # None or -1: its code has no line table


class _Collector:
    """Stands for ``sys.stderr`` while Python prints a traceback in pieces, to make one entry of them."""

    def __init__(self, stream: Any) -> None:
        self.pieces: List[str] = []
        self._stream = stream
        self._thread = _thread.get_ident()

    def write(self, text: str) -> int:
        """Keep the text; what another thread writes meanwhile goes to the stream."""
        if _thread.get_ident() != self._thread:
            return self._stream.write(text)  # type: ignore[no-any-return]
        self.pieces.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing to flush."""


def print_traceback(error: BaseException, entry: Optional[Callable[..., Any]] = None) -> None:
    """Log an exception as Python shows an uncaught one, with the author's ``excepthook`` if there is one."""
    try:
        own_frames.clean(error)
        hook = sys.excepthook
        if issubclass(type(error), SystemExit):  # for which Python calls no hook
            with namesakes.ours:
                text = _shown(_show, error) + (EXIT if entry is not None else EXIT_OF_IMPORT)
        elif hook is _show:
            with namesakes.ours:
                text = _shown(_show, error)
        else:
            text = _hooked(hook, error)
        if (
            entry is not None
            and own_frames.traceback_of(error) is None
            and issubclass(type(error), TypeError)
        ):
            text += _how_it_is_called(entry)
        if text:
            output_capture.entry(text, "error", logwire.END)
    except BaseException as second:  # the tenant may have replaced sys.stderr
        _print_without_traceback(error, second)


def _print_without_traceback(error: BaseException, second: BaseException) -> None:
    try:
        line = "%s (its traceback cannot be shown: %s)\n" % (class_name(error), class_name(second))
        if sys.__stderr__ is not None:
            sys.__stderr__.write(line)
    except BaseException:  # noqa: S110 - the tenant has replaced that stream too
        pass


def _shown(show: Any, error: BaseException) -> str:
    """What ``show``, Python's own hook or the author's, writes to stderr about the exception."""
    stream = sys.stderr
    collector = _Collector(stream)
    sys.stderr = collector
    try:
        show(type(error), error, own_frames.traceback_of(error))
    finally:
        # The exception's __str__ may have set another stream, which is then the author's wish.
        if sys.stderr is collector:
            sys.stderr = stream
    return "".join(collector.pieces)


def _hooked(hook: Any, error: BaseException) -> str:
    try:
        return _shown(hook, error)
    except SystemExit:
        return ""  # as in an interpreter, which would end silently
    except BaseException as second:
        own_frames.unlink(second, error)
        own_frames.clean(second)
        both = _shown(_show, second), _shown(_show, error)
        return "Error in sys.excepthook:\n%s\nOriginal exception was:\n%s" % both


def _how_it_is_called(entry: Callable[..., Any]) -> str:
    """For a handler that could not be called at all: Python would show the calling line, which is ours."""
    defined = handler_source.definition_of(entry)
    text = "The handler is called with one argument, the Event, as in: def handle(req)"
    if defined is None:
        return text + "\n"
    code = _code_at(defined.file, defined.line).strip()
    return '%s; it is defined here:\n  File "%s", line %d, in %s\n    %s\n' % (
        text, defined.file, defined.line, defined.name, code,
    )  # fmt: skip
