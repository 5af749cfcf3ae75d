"""``worker.imports.signature`` says what Python does when a handler is called with one argument."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from worker.answer import handler_source
from worker.imports import signature

# Statements that bind ``handle``; each is also called.
CALLABLE = [
    "def handle(req): pass",
    "async def handle(req): pass",
    "def handle(req, /): pass",
    "def handle(*args): pass",
    "def handle(*args, **kwargs): pass",
    "def handle(req, *rest): pass",
    "def handle(req=None): pass",
    "def handle(event, context=None): pass",
    "def handle(req, *, db=None): pass",
    "def handle(req, **more): pass",
    "handle = lambda req: None",
    "handle = lambda *_: None",
    "class handle:\n    def __init__(self, req): pass",
    "class handle(dict):\n    def __init__(self, req, more=1): pass",
    "class handle:\n    def __new__(cls, req): return {}",
    "import functools\nhandle = functools.partial(lambda a, b: None, 1)",
    "import functools\nhandle = functools.partial(lambda b, a: None, a=1)",
    "import functools\nhandle = functools.partial(lambda r, *, a: None, a=1)",
    "class A:\n    def run(self, req): pass\nhandle = A().run",
    "class A:\n    @classmethod\n    def run(cls, req): pass\nhandle = A.run",
    "class A:\n    @staticmethod\n    def run(req): pass\nhandle = A.run",
    "class A:\n    def __call__(self, req): pass\nhandle = A()",
    "class A:\n    @staticmethod\n    def __call__(req): pass\nhandle = A()",
    "class A(type):\n    def __call__(cls, req): pass\nclass handle(metaclass=A): pass",
    "def handle(a, b): pass\nhandle.__signature__ = 1\nhandle = lambda req: None",
    "import functools\ndef two(a, b): pass\n@functools.wraps(two)\ndef handle(req): pass",
    "import functools\n@functools.lru_cache()\ndef handle(req): pass",
    "import typing, collections\nhandle = collections.namedtuple('N', 'req')",
    "import dataclasses\n@dataclasses.dataclass\nclass handle:\n    req: object",
    "handle = repr",
    "handle = str",
    "handle = [].append",
    "def handle(a, b): pass\ndef handle(req): pass",
    "if True:\n    def handle(a, b): pass\nif True:\n    def handle(req): pass",
    "def handle(a, b): pass\nfor handle in [print]: pass",
    "def handle(a, b): pass\ntry:\n    1 / 0\nexcept Exception: handle = print",
    "def handle(a, b): pass\nglobals()['handle'] = print",
    "def handle(a, b): pass\ndef change():\n    global handle\n    handle = print\nchange()",
    "def handle(a, b): pass\nfrom builtins import print as handle",
    "def same(f): return lambda req: None\n@same\ndef handle(a, b): pass",
]
# With the deploy's message; "" if only the object tells.
NOT_CALLABLE = [
    ("def handle(): pass", "handle() takes no argument"),
    ("def handle(**kwargs): pass", "handle() takes no argument that is not named"),
    ("def handle(*, req): pass", "handle(*, req) takes no argument that is not named"),
    ("def handle(event, context): pass", "handle(event, context) cannot be called without context too"),
    ("async def handle(a, b, c): pass", "handle(a, b, c) cannot be called without b and c too"),
    ("def handle(a, b, /): pass", "handle(a, b) cannot be called without b too"),
    ("def handle(a, b, c=1): pass", "handle(a, b, c) cannot be called without b too"),
    ("def handle(a, b, *more): pass", "handle(a, b, *args) cannot be called without b too"),
    ("def handle(req, *, db): pass", "handle(req, *, db) cannot be called without db"),
    ("def handle(req, *, a=1, b): pass", "give b a default"),
    ("handle = lambda: None", "handle() takes no argument"),
    ("handle = other = lambda a, b: None", "handle(a, b) cannot be called without b too"),
    ("class handle:\n    def __init__(self): pass", "handle() takes no argument"),
    ("def handle(req): pass\ndef handle(a, b): pass", "handle(a, b) cannot be called"),
    ("class handle: pass", ""),
    ("class handle:\n    def __new__(cls): pass", ""),
    ("import functools\nhandle = functools.partial(lambda a, b: None)", ""),
    ("import functools\nhandle = functools.partial(lambda a: None, 1)", ""),
    ("class A:\n    def run(self): pass\nhandle = A().run", ""),
    ("class A:\n    def run(self, req): pass\nhandle = A.run", ""),
    ("class A:\n    def __call__(self): pass\nhandle = A()", ""),
    ("class A(type):\n    def __call__(cls): pass\nclass handle(metaclass=A): pass", ""),
    ("import functools\ndef one(req): pass\n@functools.wraps(one)\ndef handle(): pass", ""),
    ("if True:\n    def handle(a, b): pass", ""),
    ("def same(f): return f\n@same\ndef handle(a, b): pass", ""),
    ("import collections\nhandle = collections.namedtuple('N', 'a b')", ""),
    ("import dataclasses\n@dataclasses.dataclass\nclass handle:\n    a: object\n    b: object", ""),
]  # fmt: skip


def made(source: str) -> Any:
    """The object that the source binds to ``handle``."""
    names: dict[str, Any] = {"__name__": __name__}
    exec(source, names)
    return names["handle"]


def takes_one(handle: Any) -> bool:
    """Whether Python can call it."""
    try:
        result = handle(object())
    except TypeError:
        return False
    if hasattr(result, "close"):
        result.close()
    return True


@pytest.mark.parametrize("source", CALLABLE)
def test_what_can_be_called_with_one_argument_is_refused_nowhere(source: str) -> None:
    handle = made(source)
    assert takes_one(handle), "the control"
    assert signature.refusal_of("handle", handle) == ""
    assert signature.refusal_in_source("handle", ast.parse(source)) == ("", 0)


@pytest.mark.parametrize(("source", "says"), NOT_CALLABLE)
def test_what_cannot_is_refused_by_its_source_where_that_is_certain_and_by_the_object_in_any_case(
    source: str, says: str
) -> None:
    handle = made(source)
    assert not takes_one(handle), "the control"
    why = signature.refusal_of("handle", handle)
    assert says in why and signature.RULE in why
    found, line = signature.refusal_in_source("handle", ast.parse(source))
    assert (bool(found), bool(line)) == (bool(says), bool(says))
    assert not says or found == why


def test_how_other_platforms_call_is_known_by_its_names_and_gets_the_way_over() -> None:
    why = signature.refusal_of("handle", made("def handle(event, context): pass"))
    assert "write handle(req): req has the method, path, query, headers and body that AWS Lambda" in why
    assert "AWS Lambda" not in signature.refusal_of("handle", made("def handle(req, res): pass"))


def test_a_long_list_of_parameters_is_cut() -> None:
    source = f"def handle({', '.join(f'parameter_{number}' for number in range(200))}): pass"
    assert len(signature.refusal_of("handle", made(source))) < 400


def test_a_chain_that_never_ends_is_followed_no_further_than_its_bound() -> None:
    class Wrapped:
        def __init__(self) -> None:
            self.__wrapped__ = self if not hasattr(type(self), "one") else type(self).one

    Wrapped.one = first = Wrapped()  # type: ignore[attr-defined]
    first.__wrapped__ = Wrapped()
    assert handler_source.definition_of(first) is None
