"""Checks whether a handler can be called with one argument, the request; says why not.

A deploy checks the source (``refusal_in_source``), an import checks the object (``refusal_of``).  Both refuse
only what is certain to fail.  A decorator, a class with a metaclass or C code gets its call, and raises what
it likes.
"""

import ast
import functools
import types
from typing import Any, List, NamedTuple, Sequence, Tuple

from ..answer import handler_source

# A longer list of parameters is cut in a message.
PARAMETERS_MAX_CHARS = 120
RULE = "a handler is called with one argument, the request"
# The names that handlers of other platforms give their first argument and their second.
EVENTS, CONTEXTS = ("event", "evt"), ("context", "ctx", "_context", "_ctx", "_")


class Parameters(NamedTuple):
    """The parameters of a function: names in order, and how many of the first ones have no default."""

    positional: Sequence[str]
    required: int
    has_rest: bool
    # Keyword-only parameters without a default.
    keywords: Sequence[str]

    def shown(self) -> str:
        """The parameters as the author wrote them in the ``def``."""
        names = list(self.positional)
        if self.has_rest:
            names.append("*args")
        elif self.keywords:
            names.append("*")
        text = ", ".join([*names, *self.keywords])
        return "(%s)" % (
            text if len(text) <= PARAMETERS_MAX_CHARS else text[: PARAMETERS_MAX_CHARS - 1] + "\u2026"
        )


def refusal_for(name: str, given: Parameters, before: int = 0, named: Sequence[str] = ()) -> str:
    """Why a call with one argument fails; "" if it does not.

    ``before`` counts the positional arguments before the request, such as ``self``; ``named`` are arguments
    that are given by name.
    """
    own = Parameters(
        given.positional[before:], max(0, given.required - before), given.has_rest, given.keywords
    )
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
    return text if len(text) <= PARAMETERS_MAX_CHARS else "%s and %d more" % (names[0], len(names) - 1)


# ---- of an object ---------------------------------------------------------------------------


def refusal_of(name: str, handler: Any) -> str:
    """Why a handler cannot be called with one argument, and its place; "" if it can, or if nobody knows."""
    why = _refusal_of(name, handler, 0, ())
    if not why:
        return ""
    where = handler_source.definition_of(handler)
    return why if where is None else "%s:%d: %s" % (handler_source.shown(where.file), where.line, why)


def _refusal_of(name: str, handler: Any, before: int, named: Tuple[str, ...]) -> str:
    # Not by inspect.signature: it believes ``__wrapped__`` and ``__signature__``, which may name anything.
    kind = type(handler)
    if kind is types.FunctionType:
        return refusal_for(name, _parameters(handler), before, named)
    if kind is types.MethodType:
        return _refusal_of(name, handler.__func__, before + 1, named)
    if kind is functools.partial:
        return _refusal_of(name, handler.func, before + len(handler.args), (*named, *handler.keywords))
    if kind is type:
        if handler.__new__ is object.__new__ and handler.__init__ is object.__init__:
            return (
                "%s is a class that takes no argument, but %s; give it an __init__, or call its method in "
                "def %s(req)" % (name, RULE, name)
            )
        for part in (handler.__new__, handler.__init__):
            why = _refusal_of(name, part, before + 1, named) if type(part) is types.FunctionType else ""
            if why:
                return why
        return ""
    call = _call_of(kind)
    return _refusal_of(name, call, before + 1, named) if type(call) is types.FunctionType else ""


def _call_of(kind: type) -> Any:
    """``__call__`` as the class has it, where a static method differs from a function."""
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


def refusal_in_source(name: str, tree: ast.Module) -> Tuple[str, int]:
    """``(why, line)`` if the top level of a module last binds ``name`` to something that refuses the call.

    ``("", 0)`` if only a run would tell.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Global) and name in node.names:
            return "", 0
        if isinstance(node, ast.Name) and node.id in ("exec", "globals", "setattr", "vars"):
            return "", 0
    last: Any = next((each for each in reversed(tree.body) if _binds(each, name)), None)
    why = ""
    if isinstance(last, (ast.FunctionDef, ast.AsyncFunctionDef)) and not last.decorator_list:
        why = refusal_for(name, _parameters_in_source(last.args))
    elif isinstance(last, ast.Assign) and isinstance(last.value, ast.Lambda):
        if all(isinstance(target, ast.Name) for target in last.targets):
            why = refusal_for(name, _parameters_in_source(last.value.args))
    elif isinstance(last, ast.ClassDef):
        why = _refusal_of_class(name, last)
    return (why, last.lineno) if why else ("", 0)


def _binds(statement: ast.stmt, name: str) -> bool:
    """Whether the statement may bind the name."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return statement.name == name  # names in its body are its own
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name.partition(".")[0]) in (name, "*"):
            return True
        # A function in a block, ``except … as``, the capture of a match.
        if getattr(node, "name", None) == name:
            return True
    return False


def _refusal_of_class(name: str, made: ast.ClassDef) -> str:
    """Why a class cannot be called with one argument; only for one with an ``__init__`` and no bases."""
    if made.bases or made.keywords or made.decorator_list:
        return ""
    for statement in made.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return (
                ""
                if statement.decorator_list
                else refusal_for(name, _parameters_in_source(statement.args), 1)
            )
    return ""


def _parameters_in_source(has: ast.arguments) -> Parameters:
    positional: List[str] = [each.arg for each in (*has.posonlyargs, *has.args)]
    keywords = [each.arg for each, given in zip(has.kwonlyargs, has.kw_defaults) if given is None]
    return Parameters(positional, len(positional) - len(has.defaults), has.vararg is not None, keywords)
