"""Finds and imports a bundle's entry point; for a deploy, says what is wrong with it without running it."""

import ast
import importlib.machinery
import importlib.util
import inspect
import sys
from typing import Any, Callable, Iterator, NamedTuple, Set, Tuple

from ..sandbox import places
from . import namesakes, signature

# In this order: the 3.9 page's name counts only where a module has no ``handle``.
ENTRY_NAMES = ("handle", "handle_async")
# Python's message about ``from .helper import x`` in a module outside any package, and what we add to it.
NO_PACKAGE = "attempted relative import with no known parent package"
NO_PACKAGE_HINT = (
    ": handler.py and the files beside it are no package; leave out the dot, as in `from helper import x`, "
    "or put them into a folder with an __init__.py"
)


class EntryError(Exception):
    """The module was imported, but has no entry point that can be called."""


class EntryPoint(NamedTuple):
    """The function that each call runs."""

    name: str
    call: Callable[[Any], Any]
    is_async: bool


class SourceCheck(NamedTuple):
    """The result of compiling handler.py without running it; ``line`` is 0 if there is none."""

    ok: bool
    message: str
    line: int
    entry: str


def load() -> EntryPoint:
    """Import ``/function/handler.py`` as the module ``handler``; raises whatever the import raises."""
    namesakes.author_first()
    try:
        return entry_of(imported("handler", places.handler_path()))
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if error.msg == NO_PACKAGE:
            error.msg = NO_PACKAGE + NO_PACKAGE_HINT
        elif namesakes.hides_standard(name):
            error.msg = "%s; the bundle's own %s hides the standard library's: rename it" % (error.msg, name)
        raise


def imported(name: str, path: str) -> Any:
    """Import the source at ``path`` as the module ``name``."""
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # The bundle is read-only, so an attempt to write bytecode would only cost time.
    sys.dont_write_bytecode = True
    # From here on this process is hostile.
    loader.exec_module(module)
    return module


def entry_of(module: Any) -> EntryPoint:
    """The module's entry point; raises EntryError, which says what is missing."""
    for name in ENTRY_NAMES:
        candidate = getattr(module, name, None)
        if candidate is None:
            continue
        if not callable(candidate):
            raise EntryError("%s is of type %s and cannot be called" % (name, type(candidate).__name__))
        why = signature.refusal_of(name, candidate)
        if why:
            raise EntryError(why)
        return EntryPoint(name, candidate, _is_async(candidate))
    raise EntryError("handler.py defines neither handle(req) nor handle_async(req)")


def _is_async(candidate: Any) -> bool:
    if inspect.iscoroutinefunction(candidate):
        return True
    return inspect.iscoroutinefunction(type(candidate).__call__)  # a callable object


def check() -> SourceCheck:
    """Compile handler.py without running it, and look for an entry point.

    The other files are not compiled: they may be templates, or written for another Python.
    """
    try:
        with open(places.handler_path(), "rb") as source:
            text = source.read()
        tree = ast.parse(text, "handler.py")
        compile(tree, "handler.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        line = error.lineno or 0
        where = "handler.py:%d" % line if line else "handler.py"  # an unknown encoding has no line
        return SourceCheck(False, "%s: %s: %s" % (where, type(error).__name__, error.msg), line, "")
    except (ValueError, RecursionError, MemoryError) as error:
        return SourceCheck(
            False, "handler.py cannot be compiled: %s" % (error or type(error).__name__), 0, ""
        )
    names, is_open = _top_level_names(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names.update(node.names)  # a function that the top level calls may bind these names
    # A module's __getattr__ (PEP 562) may answer for any name.
    is_open = is_open or "__getattr__" in names
    for name in ENTRY_NAMES:
        if name in names:
            why, line = signature.refusal_in_source(name, tree)
            if why:
                return SourceCheck(False, "handler.py:%d: %s" % (line, why), line, "")
            return SourceCheck(True, "", 0, name)
    if is_open:
        # With ``from x import *``, ``exec`` and their like only a run would tell.
        return SourceCheck(True, "", 0, "")
    return SourceCheck(
        False, "handler.py defines neither handle(req) nor handle_async(req); define one of them", 0, ""
    )


def _top_level_names(body: Any) -> Tuple[Set[str], bool]:
    """Names that a module's top level may bind, and whether it may bind others besides."""
    names: Set[str] = set()
    is_open = False
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                is_open = is_open or alias.name == "*"
                names.add(alias.asname or alias.name.partition(".")[0])
        else:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    names.add(inner.id)
                elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name):
                    is_open = is_open or inner.func.id in ("exec", "globals", "setattr", "vars")
                elif isinstance(inner, ast.Subscript) and isinstance(inner.ctx, ast.Store):
                    is_open = True  # globals()["handle"] = ...
                elif type(inner).__name__ in ("MatchAs", "MatchStar") and inner.name:  # not in 3.9's ast
                    names.add(inner.name)
            for block in _blocks_of(node):
                more, more_open = _top_level_names(block)
                names |= more
                is_open = is_open or more_open
    return names, is_open


def _blocks_of(node: Any) -> Iterator[Any]:
    """The lists of statements below a compound statement."""
    for field in ("body", "orelse", "finalbody"):
        yield getattr(node, field, None) or []
    for field in ("handlers", "cases"):
        for part in getattr(node, field, None) or []:
            yield part.body
