"""``worker.imports.loader`` finds a bundle's entry point, and checks a source without running it."""

from __future__ import annotations

import functools
import types
from pathlib import Path
from typing import Any

import pytest

from worker.imports import loader
from worker.imports.loader import EntryError, entry_of
from worker.sandbox import places


def module(**attributes: Any) -> types.ModuleType:
    """A module that defines these names."""
    made = types.ModuleType("handler")
    vars(made).update(attributes)
    return made


def handle(req: Any) -> None:
    """A sync handler."""


async def handle_async(req: Any) -> None:
    """An async handler."""


class Callable:
    """An object that can be called."""

    def __call__(self, req: Any) -> None: ...


class AsyncCallable:
    """An object whose ``__call__`` is a coroutine function."""

    async def __call__(self, req: Any) -> None: ...


class Answer(dict[str, Any]):
    """A class that is called with the request; the instance is the answer."""

    def __init__(self, req: Any) -> None: ...


@pytest.mark.parametrize(
    ("attributes", "name", "is_async"),
    [
        ({"handle": handle}, "handle", False),
        ({"handle": handle_async}, "handle", True),
        ({"handle_async": handle_async}, "handle_async", True),
        ({"handle_async": handle}, "handle_async", False),
        ({"handle": handle, "handle_async": handle_async}, "handle", False),
        ({"handle": None, "handle_async": handle_async}, "handle_async", True),
        ({"handle": Callable()}, "handle", False),
        ({"handle": AsyncCallable()}, "handle", True),
        ({"handle": functools.partial(handle)}, "handle", False),
        ({"handle": functools.partial(handle_async)}, "handle", True),
        ({"handle": lambda req: None}, "handle", False),
        ({"handle": Answer}, "handle", False),
    ],
)
def test_the_entry_point_is_handle_else_handle_async(
    attributes: dict[str, Any], name: str, is_async: bool
) -> None:
    entry = entry_of(module(**attributes))
    assert (entry.name, entry.call, entry.is_async) == (name, attributes[name], is_async)


@pytest.mark.parametrize("attributes", [{}, {"Handle": handle}, {"main": handle}, {"handle": None}])
def test_a_module_without_an_entry_point_is_told_what_to_define(attributes: dict[str, Any]) -> None:
    with pytest.raises(EntryError) as caught:
        entry_of(module(**attributes))
    assert str(caught.value) == "handler.py defines neither handle(req) nor handle_async(req)"


def test_an_entry_point_that_cannot_be_called_is_named() -> None:
    with pytest.raises(EntryError) as caught:
        entry_of(module(handle={"a": 1}, handle_async=handle_async))
    assert str(caught.value) == "handle is of type dict and cannot be called"


def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | bytes) -> loader.SourceCheck:
    """The result of checking this handler.py."""
    path = tmp_path / "handler.py"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    monkeypatch.setattr(places, "function_dir", str(tmp_path))
    return loader.check()


@pytest.mark.parametrize(
    ("source", "entry"),
    [
        ("def handle(req): ...", "handle"),
        ("async def handle(req): ...", "handle"),
        ("async def handle_async(req): ...", "handle_async"),
        ("def handle_async(req): ...\ndef handle(req): ...", "handle"),
        ("class handle: ...", "handle"),
        ("handle = lambda req: None", "handle"),
        ("handle: object = print", "handle"),
        ("x = handle = print", "handle"),
        ("(handle, other) = print, print", "handle"),
        ("[a, *handle] = 1, 2", "handle"),
        ("if (handle := print): pass", "handle"),
        ("for handle in [print]: pass", "handle"),
        ("with open('x') as handle: pass", "handle"),
        ("from mine import handle", "handle"),
        ("from mine import other as handle", "handle"),
        ("import handle", "handle"),
        ("import handle.more", "handle"),
        ("if True:\n    def handle(req): ...", "handle"),
        ("if False: pass\nelse:\n    def handle(req): ...", "handle"),
        ("if a: pass\nelif b:\n    async def handle(req): ...", "handle"),
        ("try:\n    from fast import handle\nexcept ImportError:\n    def handle(req): ...", "handle"),
        ("try: x = 1\nexcept E:\n    def handle(req): ...", "handle"),
        ("try: x = 1\nexcept E: pass\nelse:\n    def handle(req): ...", "handle"),
        ("try: x = 1\nfinally:\n    def handle(req): ...", "handle"),
        ("with x:\n    def handle(req): ...", "handle"),
        ("while True:\n    def handle(req): ...\n    break", "handle"),
        ("for x in y: pass\nelse:\n    def handle(req): ...", "handle"),
        ("match x:\n    case 1:\n        def handle(req): ...", "handle"),
        ("match x:\n    case handle: pass", "handle"),
        ("def set_up():\n    global handle\n    handle = print\nset_up()", "handle"),
        ("@decorated\ndef handle(req): ...", "handle"),
        ("\ufeffdef handle(req): ...", "handle"),
        ("# -*- coding: latin-1 -*-\n# caf\xe9\ndef handle(req): ...".encode("latin-1"), "handle"),
        # Only a run would tell whether these define a handler.
        ("from mine import *", ""),
        ("exec('def handle(req): ...')", ""),
        ("globals()['handle'] = print", ""),
        ("setattr(x, 'handle', print)", ""),
        ("vars().update(handle=print)", ""),
        ("globals().update(handle=print)", ""),
        ("if True:\n    from mine import *", ""),
        ("def __getattr__(name): return print", ""),
    ],
)
def test_a_bundle_with_an_entry_point_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | bytes, entry: str
) -> None:
    assert check(tmp_path, monkeypatch, source) == loader.SourceCheck(True, "", 0, entry)


@pytest.mark.parametrize(
    "source",
    [
        "", "x = 1", "def main(req): ...", "class Handler:\n    def handle(self, req): ...",
        "def make():\n    def handle(req): ...\n    return handle", "import os.handle", "handle", "handle()",
        "x.handle = 1", "from handle import x", "import handle as h", "'handle'", "# def handle(req): ...",
        "def outer(handle): ...", "class A:\n    handle = 1",
    ],
)  # fmt: skip
def test_a_bundle_without_an_entry_point_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    found = check(tmp_path, monkeypatch, source)
    assert not found.ok
    assert found.message == (
        "handler.py defines neither handle(req) nor handle_async(req); define one of them"
    )


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("def handle(req)\n    pass\n", 1, "handler.py:1: SyntaxError: expected ':'"),
        ("def handle(req):\n    x = (\n", 2, "handler.py:2: SyntaxError: '(' was never closed"),
        ("x = 1\n\n  y = 2\n", 3, "handler.py:3: IndentationError: unexpected indent"),
        ("def handle(req):\n\tx\n        y\n", 3, "handler.py:3: TabError: inconsistent use of tabs"),
        ("x = 1\nreturn x\n", 2, "handler.py:2: SyntaxError: 'return' outside function"),
        ("def handle(req): await x\n", 1, "handler.py:1: SyntaxError: 'await' outside async function"),
        ("def handle(a, a): ...\n", 1, "handler.py:1: SyntaxError: duplicate argument 'a'"),
        ("break\n", 1, "handler.py:1: SyntaxError: 'break' outside loop"),
    ],
)
def test_a_bundle_that_does_not_compile_is_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, line: int, message: str
) -> None:
    found = check(tmp_path, monkeypatch, source)
    assert (found.ok, found.line) == (False, line)
    assert found.message.startswith(message)


@pytest.mark.parametrize(
    "source",
    [
        b"def handle(req): '\xff'\n",
        b"\x00",
        b"def handle(req): ...\x00",
        b"# -*- coding: no-such-coding -*-\n",
        b"x = " + b"(" * 300 + b")" * 300,
        b"x = " + b"-" * 200_000 + b"1",
        b"x = " + b"1 + " * 20_000 + b"1",
        b"\xff\xfe" + "x = 1".encode("utf-16-le"),
    ],
    ids=["not-utf-8", "nul", "nul-later", "unknown-coding", "parentheses", "minuses", "pluses", "utf-16"],
)
def test_a_bundle_that_no_parser_takes_is_refused_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: bytes
) -> None:
    found = check(tmp_path, monkeypatch, source)
    assert not found.ok and found.message.startswith("handler.py")
    assert len(found.message) < 300


@pytest.mark.promise("T23")
def test_nothing_of_a_bundle_runs_while_it_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "it-ran"
    source = f"open({str(mark)!r}, 'w')\ndef handle(req=open({str(mark)!r}, 'w')): ...\n"
    assert check(tmp_path, monkeypatch, source).ok
    assert not mark.exists()
