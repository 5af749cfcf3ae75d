"""Whether a handler can be called with one argument, the request; and what to say where it cannot.

Told from its source where a deploy looks at that (``in_source``), and from the object itself once it is
imported (``of``).  Both refuse only what is certain: a decorator, a class with a metaclass, code in C are
called, and say themselves what they think of it.
"""

import ast
import functools
import types
from typing import Any, List, NamedTuple, Sequence, Tuple

from ..answer import handler_source

SHOWN_MAX_CHARS = 120
RULE = "a handler is called with one argument, the request"
# How functions of other platforms are called: what their first argument is here, and their second.
EVENTS, CONTEXTS = ("event", "evt"), ("context", "ctx", "_context", "_ctx", "_")


class Parameters(NamedTuple):
    """Of a function: names in their order, and how many of the first have no default."""

    positional: Sequence[str]
    required: int
    has_rest: bool
    # Keyword-only ones without a default.
    keywords: Sequence[str]

    def shown(self) -> str:
        """As in its ``def``."""
        names = list(self.positional)
        if self.has_rest:
            names.append("*args")
        elif self.keywords:
            names.append("*")
        text = ", ".join([*names, *self.keywords])
        return "(%s)" % (text if len(text) <= SHOWN_MAX_CHARS else text[: SHOWN_MAX_CHARS - 1] + "\u2026")


def refusal(name: str, has: Parameters, before: int = 0, named: Sequence[str] = ()) -> str:
    """Why a call with one argument fails; "" where it does not.

    ``before`` are positional arguments that come ahead of it, such as ``self``; ``named`` those that are
    given by name.
    """
    own = Parameters(has.positional[before:], max(0, has.required - before), has.has_rest, has.keywords)
    shown = name + own.shown()
    if not own.positional and not own.has_rest:
        return "%s takes no argument that is not named, but %s; write %s(req)" % (shown, RULE, name)
    missing = [one for one in own.positional[1 : own.required] if one not in named]
    if missing:
        first, *others = own.positional
        why = "%s cannot be called without %s too, but %s; " % (shown, _several(missing), RULE)
        if first.lower() in EVENTS and len(others) == 1 and others[0].lower() in CONTEXTS:
            return why + (
                "write %s(req): req has the method, path, query, headers and body that AWS Lambda and "
                "OpenFaaS have in their event, `from function import context` the call's id and the time left"
                % name
            )
        return why + "write %s(req), or give %s a default" % (name, _several(missing))
    missing = [one for one in own.keywords if one not in named]
    if missing:
        return "%s cannot be called without %s, but %s; give %s a default" % (
            shown, _several(missing), RULE, _several(missing),
        )  # fmt: skip
    return ""


def _several(names: Sequence[str]) -> str:
    text = " and ".join(names)
    return text if len(text) <= SHOWN_MAX_CHARS else "%s and %d more" % (names[0], len(names) - 1)


# ---- of an object ---------------------------------------------------------------------------


def of(name: str, handler: Any) -> str:
    """Why it cannot be called with one argument, with its place; "" where it can, or nobody knows."""
    why = _of(name, handler, 0, ())
    if not why:
        return ""
    where = handler_source.definition_of(handler)
    return why if where is None else "%s:%d: %s" % (handler_source.shown(where.file), where.line, why)


def _of(name: str, handler: Any, before: int, named: Tuple[str, ...]) -> str:
    # Not inspect.signature, which believes what ``__wrapped__`` and ``__signature__`` say of others.
    kind = type(handler)
    if kind is types.FunctionType:
        return refusal(name, _parameters(handler), before, named)
    if kind is types.MethodType:
        return _of(name, handler.__func__, before + 1, named)
    if kind is functools.partial:
        return _of(name, handler.func, before + len(handler.args), (*named, *handler.keywords))
    if kind is type:
        if handler.__new__ is object.__new__ and handler.__init__ is object.__init__:
            return (
                "%s is a class that takes no argument, but %s; give it an __init__, or call its method in "
                "def %s(req)" % (name, RULE, name)
            )
        for part in (handler.__new__, handler.__init__):
            why = _of(name, part, before + 1, named) if type(part) is types.FunctionType else ""
            if why:
                return why
        return ""
    call = _call_of(kind)
    return _of(name, call, before + 1, named) if type(call) is types.FunctionType else ""


def _call_of(kind: type) -> Any:
    """``__call__`` as it stands in the class: a static method is another thing than a function there."""
    return next((vars(each)["__call__"] for each in kind.__mro__ if "__call__" in vars(each)), None)


def _parameters(function: Any) -> Parameters:
    code = function.__code__
    count, named = code.co_argcount, code.co_kwonlyargcount
    given = function.__kwdefaults__ or {}
    keywords = code.co_varnames[count : count + named]
    return Parameters(
        code.co_varnames[:count],
        count - len(function.__defaults__ or ()),
        bool(code.co_flags & 0x04),  # inspect.CO_VARARGS
        [one for one in keywords if one not in given],
    )


# ---- of a source ----------------------------------------------------------------------------


def in_source(name: str, tree: ast.Module) -> Tuple[str, int]:
    """``(why, line)`` where the top level of a module last binds ``name`` to what cannot be called so.

    ``("", 0)`` for everything that only running it would tell.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Global) and name in node.names:
            return "", 0
        if isinstance(node, ast.Name) and node.id in ("exec", "globals", "setattr", "vars"):
            return "", 0
    last: Any = next((each for each in reversed(tree.body) if _binds(each, name)), None)
    why = ""
    if isinstance(last, (ast.FunctionDef, ast.AsyncFunctionDef)) and not last.decorator_list:
        why = refusal(name, _of_arguments(last.args))
    elif isinstance(last, ast.Assign) and isinstance(last.value, ast.Lambda):
        if all(isinstance(target, ast.Name) for target in last.targets):
            why = refusal(name, _of_arguments(last.value.args))
    elif isinstance(last, ast.ClassDef):
        why = _of_class(name, last)
    return (why, last.lineno) if why else ("", 0)


def _binds(statement: ast.stmt, name: str) -> bool:
    """Whether the name may stand for something else after it."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return statement.name == name  # what is in it is its own
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name.partition(".")[0]) in (name, "*"):
            return True
        # A function in a block, an ``except … as``, a match's capture.
        if getattr(node, "name", None) == name:
            return True
    return False


def _of_class(name: str, made: ast.ClassDef) -> str:
    """Of a class of its own with an ``__init__``: an instance is the answer then, but it can be called."""
    if made.bases or made.keywords or made.decorator_list:
        return ""
    for statement in made.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return "" if statement.decorator_list else refusal(name, _of_arguments(statement.args), 1)
    return ""


def _of_arguments(has: ast.arguments) -> Parameters:
    positional: List[str] = [each.arg for each in (*has.posonlyargs, *has.args)]
    keywords = [each.arg for each, given in zip(has.kwonlyargs, has.kw_defaults) if given is None]
    return Parameters(positional, len(positional) - len(has.defaults), has.vararg is not None, keywords)
