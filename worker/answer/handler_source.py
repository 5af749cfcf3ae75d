"""Finds the line where the author wrote the handler, or its ``return``, for messages about a mistake.

It reads the source, so nothing here runs unless something went wrong.
"""

import ast
import linecache
from typing import Any, Callable, Iterator, NamedTuple, Optional

from ..imports import namesakes
from ..sandbox import places
from . import own_frames

# How many wrapped functions (decorators on decorators) are followed.
WRAPPERS_MOST = 50
# How many lines of decorators above a ``def`` are read.
DECORATORS_MOST_LINES = 50
# A longer source is not parsed for its ``return``.
SOURCE_MOST_LINES = 20_000


class Definition(NamedTuple):
    """Where a function is defined: the path of its file, the line of its ``def``, its name."""

    file: str
    line: int
    name: str


def definition_of(call: Callable[..., Any], is_inmost: bool = False) -> Optional[Definition]:
    """The definition of the outermost function of the bundle that ``call`` is or wraps; or of the inmost."""
    found = None
    try:
        for code in _codes_of(call):
            if own_frames.is_own(code.co_filename):
                found = Definition(code.co_filename, _line_of_def(code), code.co_name)
                if not is_inmost:
                    break
    except BaseException:  # the author's code: a property, a __getattr__ of a callable object
        return found
    return found


def shown(path: str) -> str:
    """The path of a file of the bundle, from the bundle's root."""
    return path[len(places.function_dir) + 1 :]


def _line_of_def(code: Any) -> int:
    """The line of a function's ``def``: its code begins at the first decorator."""
    first: int = code.co_firstlineno
    with namesakes.ours:
        lines = linecache.getlines(code.co_filename)[first - 1 : first - 1 + DECORATORS_MOST_LINES]
    if lines and lines[0].lstrip().startswith("@"):
        for line, text in enumerate(lines, first):
            if text.lstrip().startswith(("def ", "async def ", "class ")):
                return line
    return first


def _codes_of(call: Any) -> Iterator[Any]:
    """The code of a callable and of the functions that it wraps, outermost first."""
    each = call
    for _ in range(WRAPPERS_MOST):
        if each is None:
            return
        function = getattr(each, "__func__", each)  # a bound method's
        code = getattr(function, "__code__", None)
        if code is not None:
            yield code
            each = getattr(function, "__wrapped__", None)
        else:  # functools.partial; an object with a __call__
            each = getattr(each, "func", None) or getattr(each, "__wrapped__", None)
            if each is None and call is not None:
                # Calling a class runs its ``__init__``; calling an object runs its class's ``__call__``.
                each = call.__init__ if isinstance(call, type) else type(call).__call__
                call = None


def place_of_the_answer(call: Callable[..., Any]) -> str:
    """Where the answer was returned, in words: the line of the only ``return``, else of the function."""
    defined = definition_of(call, is_inmost=True)
    if defined is None:
        return ""
    name = shown(defined.file)
    try:
        with namesakes.ours:
            line = _only_return(defined)
    except BaseException:  # the source is not Python, or reading it has no end
        line = 0
    if line:
        return "returned at %s:%d" % (name, line)
    return "returned by %s at %s:%d" % (defined.name, name, defined.line)


def _only_return(defined: Definition) -> int:
    """The line of the function's only ``return``; 0 if it has several or none."""
    lines = linecache.getlines(defined.file)
    if len(lines) > SOURCE_MOST_LINES:
        return 0
    for node in ast.walk(ast.parse("".join(lines))):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != defined.name:
            continue
        if defined.line == node.lineno:
            found = [each.lineno for each in _returns_in(node.body) if each.value is not None]
            return found[0] if len(found) == 1 else 0
    return 0


def _returns_in(body: Any) -> Iterator[ast.Return]:
    """The ``return`` statements of a function, without those of functions in it."""
    ahead = list(body)
    for node in ahead:
        if isinstance(node, ast.Return):
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            ahead += ast.iter_child_nodes(node)
