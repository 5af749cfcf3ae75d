"""Which frames of a traceback are the platform's, and what is left without them.

They are no author's business, wherever they stand.  They are taken out of the tracebacks themselves, not of
what is printed: whoever shows one afterwards (the log, a hook of the author's, a library) shows the author's.
"""

import sys
import warnings
from typing import Any, Iterator, List, Optional

import function

from .. import FOLDER
from ..sandbox import places

# Of this package, and of the one that authors import.
OURS = (FOLDER + "/", (function.__file__ or "").rpartition("/")[0] + "/")
# Python takes these out of what an import statement raises; our import is none.
_IMPORT_MACHINERY = "<frozen importlib."
# A chain is as long as the recursion, or the loop, that made it.
CHAIN_MOST = 2000
# Where Python says that a warning comes from that names a caller whom there is not.
NOWHERE = ("<sys>", 0) if sys.version_info >= (3, 13) else ("sys", 1)

# What a class says of its instances can be anything: these are asked past it.
_traceback = BaseException.__dict__["__traceback__"]
_cause = BaseException.__dict__["__cause__"]
_context = BaseException.__dict__["__context__"]
_is_suppressed = BaseException.__dict__["__suppress_context__"]


def install() -> None:
    """A warning names no line of ours, whoever shows it: of the caller of a handler there is none."""
    made = warnings.WarningMessage.__init__

    def make(
        self: Any, message: Any, category: Any, filename: Any, lineno: Any, *rest: Any, **more: Any
    ) -> None:
        if isinstance(filename, str) and filename.startswith(OURS):
            filename, lineno = NOWHERE
        made(self, message, category, filename, lineno, *rest, **more)

    warnings.WarningMessage.__init__ = make  # type: ignore[method-assign]


def traceback_of(error: BaseException) -> Any:
    """Its ``__traceback__``, whatever its class makes of that name."""
    return _traceback.__get__(error)


def file_of(trace: Any) -> str:
    """The name of the file that the code of this entry of a traceback was compiled from."""
    name: str = trace.tb_frame.f_code.co_filename
    return name


def is_ours(trace: Any) -> bool:
    """Whether it is a frame of the platform's code."""
    return file_of(trace).startswith(OURS)


def is_own(file: str) -> bool:
    """Whether it is a file of the bundle."""
    return file.startswith(places.function_dir + "/")


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """The exception, then those that led to it or are in it, nearest first, each once."""
    ahead: List[Any] = [error]
    seen = set()
    for each in ahead:
        if not issubclass(type(each), BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        if len(seen) > CHAIN_MOST:
            return
        yield each
        ahead += (_cause.__get__(each), _context.__get__(each))
        try:
            members = each.exceptions  # type: ignore[attr-defined]
            if type(members) in (tuple, list):
                ahead += members[:CHAIN_MOST]
        except BaseException:  # noqa: S112 - no group, or one that cannot be looked into
            continue


def shown_chain_of(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that a traceback shows before it."""
    each: Optional[BaseException] = error
    for _ in range(CHAIN_MOST):
        if each is None:
            return
        yield each
        cause = _cause.__get__(each)
        each = cause if cause is not None or _is_suppressed.__get__(each) else _context.__get__(each)


def unlink(error: BaseException, earlier: BaseException) -> None:
    """Forget that it was raised while ``earlier`` was being handled: by us, and not by the author."""
    for each in chain_of(error):
        if _context.__get__(each) is earlier:
            _context.__set__(each, None)


def clean(error: BaseException) -> None:
    """Take the platform's frames out, for good, and of the exception itself all before the author's first."""
    for each in chain_of(error):
        _traceback.__set__(each, _without_ours(traceback_of(each)))
    first = trace = traceback_of(error)
    while trace is not None and not is_own(file_of(trace)):
        trace = trace.tb_next
    if trace is None:  # a handler that a library has written: all of that is shown
        trace = first
        while trace is not None and file_of(trace).startswith(_IMPORT_MACHINERY):
            trace = trace.tb_next
    _traceback.__set__(error, trace)


def _without_ours(trace: Any) -> Any:
    while trace is not None and is_ours(trace):
        trace = trace.tb_next
    last = trace
    while last is not None:
        following = last.tb_next
        while following is not None and is_ours(following):
            following = following.tb_next
        if following is not last.tb_next:
            last.tb_next = following
        last = following
    return trace
