"""Takes the platform's frames out of tracebacks, for they tell an author nothing.

The traceback objects themselves are changed, not the printed text.  So everything that shows one afterwards
(the log, an author's hook, a library) shows the author's frames only.
"""

import sys
import warnings
from typing import Any, Iterator, List, Optional

import function

from .. import PACKAGE_FOLDER
from ..sandbox import places

# The files of this package and of the one that authors import (``function``) begin with one of these.
PLATFORM_FILES = (PACKAGE_FOLDER + "/", (function.__file__ or "").rpartition("/")[0] + "/")
# Python removes these frames from what an import statement raises, but we import the handler without one.
_IMPORT_MACHINERY = "<frozen importlib."
# A recursion or a loop can make a chain of exceptions of any length.
CHAIN_MOST = 2000
# The place that Python names for a warning whose caller does not exist.
NOWHERE = ("<sys>", 0) if sys.version_info >= (3, 13) else ("sys", 1)

# A class can answer anything for these names, so we ask BaseException itself.
_traceback = BaseException.__dict__["__traceback__"]
_cause = BaseException.__dict__["__cause__"]
_context = BaseException.__dict__["__context__"]
_is_suppressed = BaseException.__dict__["__suppress_context__"]


def install() -> None:
    """Have no warning name a line of ours: a handler has no caller that its author knows."""
    original = warnings.WarningMessage.__init__

    def __init__(
        self: Any, message: Any, category: Any, filename: Any, lineno: Any, *rest: Any, **more: Any
    ) -> None:
        if isinstance(filename, str) and filename.startswith(PLATFORM_FILES):
            filename, lineno = NOWHERE
        original(self, message, category, filename, lineno, *rest, **more)

    warnings.WarningMessage.__init__ = __init__  # type: ignore[method-assign]


def traceback_of(error: BaseException) -> Any:
    """The exception's traceback, whatever its class makes of the name ``__traceback__``."""
    return _traceback.__get__(error)


def file_of(trace: Any) -> str:
    """The file that the code of a traceback's entry was compiled from."""
    name: str = trace.tb_frame.f_code.co_filename
    return name


def is_ours(trace: Any) -> bool:
    """Whether a traceback's entry is platform code."""
    return file_of(trace).startswith(PLATFORM_FILES)


def is_own(file: str) -> bool:
    """Whether a file belongs to the bundle."""
    return file.startswith(places.function_dir + "/")


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """The exception, its causes and contexts, and the members of groups; nearest first, each once."""
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
        except BaseException:  # noqa: S112 - no exception group, or its property raises
            continue


def shown_chain_of(error: BaseException) -> Iterator[BaseException]:
    """The exception, then the causes and contexts that Python shows with it."""
    each: Optional[BaseException] = error
    for _ in range(CHAIN_MOST):
        if each is None:
            return
        yield each
        cause = _cause.__get__(each)
        each = cause if cause is not None or _is_suppressed.__get__(each) else _context.__get__(each)


def unlink(error: BaseException, earlier: BaseException) -> None:
    """Forget that ``error`` was raised while ``earlier`` was handled, for it was our code that handled it."""
    for each in chain_of(error):
        if _context.__get__(each) is earlier:
            _context.__set__(each, None)


def clean(error: BaseException) -> None:
    """Take out the platform's frames, and those before the author's first frame; for good."""
    for each in chain_of(error):
        _traceback.__set__(each, _without_ours(traceback_of(each)))
    first = trace = traceback_of(error)
    while trace is not None and not is_own(file_of(trace)):
        trace = trace.tb_next
    if trace is None:  # the handler is a library's: all its frames are shown
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
