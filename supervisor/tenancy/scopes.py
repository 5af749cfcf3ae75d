"""What a credential of a space may be allowed, in words that ``scopes`` of an app, a key and a token have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "function.read": "see functions, their code and versions",
        "function.create": "create functions",
        "function.update": "deploy changes, go back to a version",
        "function.delete": "delete functions",
        "function.invoke": "call functions",
        "log.read": "read logs",
        "secret.read": "see the names of secrets",
        "secret.update": "set secrets",
        "secret.delete": "delete secrets",
        "variable.read": "see variables with their values",
        "variable.update": "set variables",
        "variable.delete": "delete variables",
        "trigger.read": "see triggers",
        "trigger.update": "set triggers",
        "trigger.delete": "delete triggers",
        "call.read": "see asynchronous calls and their results",
        "call.delete": "cancel asynchronous calls",
        "space.read": "see the space, what goes on in it, what it used and may use",
        "space.admin": "make and remove apps and keys, with any scope; set the egress of the space",
    }
)
# The one word that stands for several.
ALL_OF_FUNCTIONS = "function"
WORDS = (ALL_OF_FUNCTIONS, *SCOPES)
# ``functions`` of a credential narrows these to the functions that it names.
NARROWED = frozenset({"function.invoke", "log.read", "call.read"})


def expanded(words: Iterable[str]) -> frozenset[str]:
    """The scopes that ``words`` stand for; a word that is none is left out."""
    given = set(words)
    if ALL_OF_FUNCTIONS in given:
        given |= {scope for scope in SCOPES if scope.startswith(f"{ALL_OF_FUNCTIONS}.")}
    return frozenset(given & SCOPES.keys())
