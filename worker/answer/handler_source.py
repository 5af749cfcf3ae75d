"""Where in the bundle an author wrote the handler, for messages about what it returned or how it is called.

Asked only when something went wrong: it reads the source.
"""

import ast
import linecache
from typing import Any, Callable, Iterator, NamedTuple, Optional

from ..imports import namesakes
from ..sandbox import places
from . import own_frames

# Decorators on decorators.
WRAPPERS_MOST = 50
# Lines of decorators above a ``def``; more are no code that anybody shows.
DECORATORS_MOST_LINES = 50
SOURCE_MOST_LINES = 20_000


class Definition(NamedTuple):
    """Of a function: the path of its file, the line of its ``def``, its name."""

    file: str
    line: int
    name: str


def definition_of(call: Callable[..., Any], is_inmost: bool = False) -> Optional[Definition]:
    """Of the outermost function of the bundle's that ``call`` is, or that it wraps; or of the inmost one."""
    found = None
    try:
        for code in _codes_of(call):
            if own_frames.is_own(code.co_filename):
                found = Definition(code.co_filename, _line_of_def(code), code.co_name)
                if not is_inmost:
                    break
    except BaseException:  # the author's: a property, a __getattr__ of a callable object
        return found
    return found


def shown(path: str) -> str:
    """A file of the bundle, as its author knows it."""
    return path[len(places.function_dir) + 1 :]


def _line_of_def(code: Any) -> int:
    """The first line of code that has decorators is that of the first of them."""
    first: int = code.co_firstlineno
    with namesakes.ours:
        lines = linecache.getlines(code.co_filename)[first - 1 : first - 1 + DECORATORS_MOST_LINES]
    if lines and lines[0].lstrip().startswith("@"):
        for line, text in enumerate(lines, first):
            if text.lstrip().startswith(("def ", "async def ", "class ")):
                return line
    return first


def _codes_of(call: Any) -> Iterator[Any]:
    """The code of a function and of those that it stands for, outermost first."""
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
                # A class is made by its own ``__init__``, any other object called by its class's.
                each = call.__init__ if isinstance(call, type) else type(call).__call__
                call = None


def place_of_the_answer(call: Callable[..., Any]) -> str:
    """Where it was returned, in words: the line of the only ``return``, else that of the function."""
    defined = definition_of(call, is_inmost=True)
    if defined is None:
        return ""
    name = shown(defined.file)
    try:
        with namesakes.ours:
            line = _only_return(defined)
    except BaseException:  # a source that is none, or without end
        line = 0
    if line:
        return "returned at %s:%d" % (name, line)
    return "returned by %s at %s:%d" % (defined.name, name, defined.line)


def _only_return(defined: Definition) -> int:
    """The line of its only ``return``; 0 where it has several, or none."""
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
    """Those of this function, not of functions in it."""
    ahead = list(body)
    for node in ahead:
        if isinstance(node, ast.Return):
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            ahead += ast.iter_child_nodes(node)
