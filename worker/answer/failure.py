"""An exception of tenant code: as the fields that a caller sees, and in the log as Python prints it.

Whatever is asked of it may be the tenant's own code: its class, its text, its hook.  Nothing of that may keep
the call from its answer, so every door here is open to any exception.
"""

import _thread
import linecache
import sys
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from .. import logwire
from ..capture import output_capture
from ..imports import namesakes
from . import handler_source, own_frames

TYPE_MAX_CHARS = 256
INFO_MAX_CHARS = 4096
CODE_MAX_CHARS = 512
FILE_MAX_CHARS = 256
LINE_MAX = 1 << 31
# Plain Python says nothing of exit(), and ends.
EXIT = 'exit() ends its call with a 500; to answer, return {"status_code": ..., "body": ...}\n'
EXIT_OF_IMPORT = (
    "exit() ended the import before there was a handler; "
    'what only a script does belongs under if __name__ == "__main__":\n'
)

# A class made by a metaclass can have any ``__name__``; this is the one that it was given.
_name = type.__dict__["__name__"]
# Kept from authors who replace them.
_show = sys.__excepthook__
_getline = linecache.getline
# Its own words, whatever a subclass makes of these names.
_syntax = {name: SyntaxError.__dict__[name] for name in ("lineno", "text", "msg", "filename")}


class Failure(NamedTuple):
    """``line`` is 0 and ``code`` empty where there is no line to name; ``file`` as its author knows it."""

    exception_type: str
    exception_info: str
    line: int
    code: str
    file: str


def name_of(error: BaseException) -> str:
    """The name of its class."""
    return str.__str__(_name.__get__(type(error)))


def text_of(value: Any) -> str:
    """``str(value)``, or what became of that."""
    try:
        return str.__str__(str(value))
    except BaseException as second:  # a tenant's __str__ may raise anything
        return "<%s whose str raises %s>" % (str.__str__(_name.__get__(type(value))), name_of(second))


def _clean(text: str, most: int) -> str:
    """Cut, and with lone surrogates replaced, so that the wire can carry it."""
    return text[:most].encode("utf-8", "replace").decode()


def failure_of(error: BaseException, entry: Optional[Callable[..., Any]] = None) -> Failure:
    """The author's own innermost line where there is one, else the innermost line of all.

    ``entry`` is what was called: where there is no line at all, the one that it is defined in.
    """
    try:
        file, line, code, info = _place_of(error, entry)
    except BaseException:  # the tenant's: a property of its class, a loader of its module
        file, line, code, info = "", 0, "", text_of(error)
    return Failure(
        _clean(name_of(error), TYPE_MAX_CHARS),
        _clean(info, INFO_MAX_CHARS),
        line,
        _clean(code.strip(), CODE_MAX_CHARS),
        _clean(file, FILE_MAX_CHARS),
    )


def _place_of(error: BaseException, entry: Optional[Callable[..., Any]]) -> Tuple[str, int, str, str]:
    """File, line, code and text."""
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
    except BaseException:  # a loader of the author's, that has the source
        return ""


def _of_syntax(error: Any) -> Optional[Tuple[str, int, str, str]]:
    # Parsers of other languages raise SyntaxError by hand, with anything in it.
    line, text, message, file = (each.__get__(error) for each in _syntax.values())
    if type(line) is not int or not 0 < line <= LINE_MAX:
        return None
    info = text_of(message)
    if file and type(file) is str:
        info = "%s (%s)" % (info, file.rpartition("/")[2])
    return "", line, text if type(text) is str else "", info


def name_of_file(path: str) -> str:
    """As the author knows it: from the bundle's root on; of another file its name alone."""
    if own_frames.is_own(path):
        return handler_source.shown(path)
    return path.rpartition("/")[2]


def _innermost(error: BaseException) -> Tuple[str, int]:
    """Path and line of the last frame in the bundle, else of what led to it, else of its own last frame."""
    # Walked by hand: traceback.extract_tb reads every line of a traceback that a tenant can make
    # as long as the recursion limit allows.
    chosen = None
    for each in own_frames.shown_chain_of(error):
        # Python makes a RuntimeError of StopIteration in a coroutine: it begins where that is awaited.
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
    """``sys.stderr`` while Python prints a traceback, piece by piece, which shall be one entry."""

    def __init__(self, stream: Any) -> None:
        self.pieces: List[str] = []
        self._stream = stream
        self._thread = _thread.get_ident()

    def write(self, text: str) -> int:
        """Keep it; what another thread writes meanwhile is its own affair."""
        if _thread.get_ident() != self._thread:
            return self._stream.write(text)  # type: ignore[no-any-return]
        self.pieces.append(text)
        return len(text)

    def flush(self) -> None:
        """There is nothing to push out."""


def print_traceback(error: BaseException, entry: Optional[Callable[..., Any]] = None) -> None:
    """As Python shows what nobody caught, by the author's hook if there is one; without frames of ours."""
    try:
        own_frames.clean(error)
        hook = sys.excepthook
        if issubclass(type(error), SystemExit):  # Python itself asks no hook about it
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
        _say_without(error, second)


def _say_without(error: BaseException, second: BaseException) -> None:
    try:
        line = "%s (its traceback cannot be shown: %s)\n" % (name_of(error), name_of(second))
        if sys.__stderr__ is not None:
            sys.__stderr__.write(line)
    except BaseException:  # noqa: S110 - that one too: the caller is told all the same
        pass


def _shown(show: Any, error: BaseException) -> str:
    """What ``show``, Python's own or the author's, writes to stderr of it."""
    stream = sys.stderr
    collector = _Collector(stream)
    sys.stderr = collector
    try:
        show(type(error), error, own_frames.traceback_of(error))
    finally:
        # Its __str__ may have put another one there, which is then the author's wish.
        if sys.stderr is collector:
            sys.stderr = stream
    return "".join(collector.pieces)


def _hooked(hook: Any, error: BaseException) -> str:
    try:
        return _shown(hook, error)
    except SystemExit:
        return ""  # as an interpreter would leave
    except BaseException as second:
        own_frames.unlink(second, error)
        own_frames.clean(second)
        both = _shown(_show, second), _shown(_show, error)
        return "Error in sys.excepthook:\n%s\nOriginal exception was:\n%s" % both


def _how_it_is_called(entry: Callable[..., Any]) -> str:
    """For what could not be called at all: Python would show the line that calls, which is ours."""
    defined = handler_source.definition_of(entry)
    text = "The handler is called with one argument, the Event, as in: def handle(req)"
    if defined is None:
        return text + "\n"
    code = _code_at(defined.file, defined.line).strip()
    return '%s; it is defined here:\n  File "%s", line %d, in %s\n    %s\n' % (
        text, defined.file, defined.line, defined.name, code,
    )  # fmt: skip
