"""Whose module a function imports: the author's own, wherever plain Python would give it."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.contract.call.conftest import Deploy, as_json
from tests.support.envelope import assert_envelope
from tests.support.packing import zipped
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import SPACE, Server

# Of the platform, installed, imported ahead, and of the standard library; each says whose it is.
BROUGHT = (
    "worker", "supervisor", "seccomp", "_syscalls", "loader", "orm", "priority", "databases", "requests",
    "urllib3", "yaml", "werkzeug", "markupsafe", "msgpack", "numpy", "swx", "secrets", "queue", "email",
    "types", "logging", "random", "json", "asyncio", "threading", "traceback", "shutil", "ast", "tokenize",
    "subprocess", "selectors", "inspect", "typing", "weakref", "contextlib", "dataclasses", "string",
)  # fmt: skip
PACKAGES = {"databases", "requests", "email", "werkzeug", "numpy", "asyncio", "logging"}
# What Python has imported itself before the first line of a program, or has built in.
PYTHONS = ("os", "io", "codecs", "abc", "stat", "posixpath", "builtins", "sys", "time", "_thread")

HANDLER = """
import importlib, sys
NAMES = %r
own = {name: getattr(importlib.import_module(name), "MINE", "") for name in NAMES}
for name in %r:
    own[name + ".inner"] = importlib.import_module(name + ".inner").MINE
import function.context, function.secrets

def handle(req):
    if req.body == b"raise":
        raise LookupError("mine")
    return {"body": {
        "own": own,
        "header": req.headers["x-mine"],
        "query": req.query["q"],
        "call_id": function.context.call_id,
        "folder": sys.path[0],
    }}
"""


def bundle(names: tuple[str, ...], head: str) -> bytes:
    """A handler, and a module of each name; a package of those that are packages elsewhere."""
    source = (HANDLER % (names, sorted(PACKAGES.intersection(names)))).replace("def handle", head)
    files = [("handler.py", source.encode())]
    for name in names:
        mine = f"MINE = {name!r}\n".encode()
        if name in PACKAGES:
            files += [(f"{name}/__init__.py", mine), (f"{name}/inner.py", mine)]
        else:
            files.append((f"{name}.py", mine))
    return zipped(*files)


def is_the_authors(server: Server, name: str, brought: tuple[str, ...]) -> None:
    """Each of its modules, and what the platform does goes on with its own."""
    found = as_json(server.call(name, "?q=1", headers={"X-Mine": "h"}))
    expected = {each: each for each in brought} | {
        f"{each}.inner": each for each in PACKAGES.intersection(brought)
    }
    assert found["own"] == expected
    assert (found["header"], found["query"], found["folder"]) == ("h", "1", "/function")
    raised: Any = server.call(name, content=b"raise").json()["error"]
    assert raised["message"].startswith("LookupError at line 11: mine"), raised


@pytest.mark.promise("S124")
@on_every_runtime
def test_a_bundles_modules_come_before_the_platforms_the_installed_and_the_standard_librarys(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    name = deploy("brought", bundle(BROUGHT, "def handle"), template=runtime_name)
    is_the_authors(server, name, BROUGHT)


@pytest.mark.parametrize(("head", "fresh"), [("async def handle", False), ("def handle", True)])
def test_the_same_of_an_async_handler_and_of_one_whose_calls_are_forked(
    server: Server, deploy: Deploy, head: str, fresh: bool
) -> None:
    name = deploy("brought-too", bundle(BROUGHT, head), fresh=fresh)
    for _ in range(2):
        is_the_authors(server, name, BROUGHT)


def test_an_installed_library_uses_the_module_that_a_bundle_brings_as_in_plain_python(
    server: Server, deploy: Deploy
) -> None:
    """``requests`` imports ``idna``; both are imported ahead of functions that name a library of theirs."""
    source = (
        b"import numpy, requests\n"
        b"def handle(req):\n"
        b"    ahead = requests.packages.idna\n"
        b"    return {'body': {'idna': getattr(ahead, 'MINE', ahead.__file__), 'numpy': numpy.__file__}}\n"
    )
    plain = as_json(server.call(deploy("library", zipped(("handler.py", source)))))
    assert "/idna/" in plain["idna"], "the control"
    name = deploy("library", zipped(("handler.py", source), ("idna.py", b"MINE = 'mine'\n")))
    assert as_json(server.call(name)) == {"idna": "mine", "numpy": plain["numpy"]}


LAZY = """
import sys, importlib
before = set(sys.modules)
import decimal, concurrent.futures, http.client, logging
def handle(req):
    log = logging.getLogger()
    log.warning("one line")
    return {"body": {"queue": importlib.import_module("queue").MINE, "url": req.query["a"]}}
"""


def test_the_standard_librarys_other_modules_go_on_where_one_of_them_is_hidden(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("lazy", zipped(("handler.py", LAZY.encode()), ("queue.py", b"MINE = 1\n")))
    assert as_json(server.call(name, "?a=b")) == {"queue": 1, "url": "b"}


FILES = {
    "handler.py": """
import importlib, importlib.resources, os, pkgutil, sys
import first, pack.inner, space.part, email, json

def handle(req):
    counted = first.COUNT
    first.COUNT = 5
    importlib.reload(first)
    this = importlib.reload(sys.modules["handler"]) if req.body == b"again" else sys.modules["handler"]
    return {"body": {
        "name": [__name__, __file__, __package__, __spec__.origin, this.__name__],
        "data": [
            open(os.path.join(os.path.dirname(__file__), "data/a.txt")).read(),
            open("data/a.txt").read(),
            pkgutil.get_data("handler", "data/a.txt").decode(),
            pkgutil.get_data("pack", "b.txt").decode(),
        ],
        "resource": importlib.resources.read_text("pack", "b.txt"),
        "reloaded": [counted, first.COUNT],
        "circular": first.second.NAME,
        "relative": pack.inner.FROM,
        "space": space.part.PART,
        "stdlib": [email.__file__.startswith("/function"), json.__file__.startswith("/function")],
        "by_name": importlib.import_module(".inner", "pack").FROM,
        "found": importlib.util.find_spec("first").origin,
        "modules": sorted(each.name for each in pkgutil.iter_modules(["/function"])),
    }}
""",
    "first.py": "import second\nCOUNT = 1\nNAME = 'first'\n",
    "second.py": "import first\nNAME = 'second'\n",
    "pack/__init__.py": "",
    "pack/inner.py": "from . import other\nfrom .other import X as FROM\n",
    "pack/other.py": "X = 'other'\n",
    "pack/b.txt": "b",
    "space/part.py": "PART = 1\n",
    "data/a.txt": "a",
    # Folders of data: none of these is a package, and in plain Python none of them hides one.
    "email/welcome.html": "",
    "json/data.py": "",
}


@pytest.mark.promise("S129")
@on_every_runtime
def test_modules_packages_and_files_of_a_bundle_are_found_as_in_plain_python(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    files = zipped(*((name, text.encode()) for name, text in FILES.items()))
    name = deploy("files", files, template=runtime_name)
    for body in (b"", b"again"):
        assert as_json(server.call(name, content=body)) == {
            "name": ["handler", "/function/handler.py", "", "/function/handler.py", "handler"],
            "data": ["a", "a", "a", "b"],
            "resource": "b",
            "reloaded": [1, 1],
            "circular": "second",
            "relative": "other",
            "space": 1,
            "stdlib": [False, False],
            "by_name": "other",
            "found": "/function/first.py",
            "modules": ["first", "handler", "pack", "second"],
        }


@pytest.mark.promise("S131")
def test_a_bundle_that_hides_a_module_of_the_standard_library_is_deployed_with_a_warning_that_names_it(
    server: Server, deploy: Deploy
) -> None:
    source = b"import queue\ndef handle(req): return {'body': {'queue': queue.MINE}}\n"
    files = zipped(("handler.py", source), ("queue.py", b"MINE = 1\n"), ("worker.py", b""))
    (warning,) = server.deploy("warned", files)["warnings"]
    assert warning.startswith("queue.py hides the standard library's module queue: ")
    assert server.client.get(f"/spaces/{SPACE}/functions/warned").json()["warnings"] == [warning]
    assert as_json(server.call("warned")) == {"queue": 1}
    assert server.deploy("warned", b"def handle(req): pass\n")["warnings"] == []
    deploy("warned", b"def handle(req): pass\n")


# ---- messages -------------------------------------------------------------------------------


@pytest.mark.promise("S130")
@pytest.mark.parametrize(
    ("files", "message", "line", "code"),
    [
        (
            {"handler.py": "from .helper import x\ndef handle(req): pass\n", "helper.py": "x = 1\n"},
            "ImportError at line 1: attempted relative import with no known parent package: handler.py and "
            "the files beside it are no package; leave out the dot, as in `from helper import x`",
            1, "from .helper import x",
        ),
        (
            {"handler.py": "import helper\ndef handle(req): pass\n", "helper.py": "\nx = 1 / 0\n"},
            "ZeroDivisionError at line 2 of helper.py: division by zero", 2, "x = 1 / 0",
        ),
        (
            {"handler.py": "import p.q\ndef handle(req): pass\n", "p/__init__.py": "",
             "p/q.py": "import nope\n"},
            "ModuleNotFoundError at line 1 of p/q.py: No module named 'nope'", 1, "import nope",
        ),
        (
            {"handler.py": "import helper\ndef handle(req): pass\n", "helper.py": "x = 1\nif x\n"},
            "SyntaxError at line 2: ", 2, "if x",
        ),
        (
            {"handler.py": "import helper\ndef handle(req): helper.f()\n",
             "helper.py": "def f():\n    raise KeyError('k')\n"},
            "KeyError at line 2 of helper.py: 'k'", 2, "raise KeyError('k')",
        ),
        (
            {"handler.py": "import a\ndef handle(req): pass\n", "a.py": "from b import x\n",
             "b.py": "import a\nfrom a import y\n"},
            "ImportError at line 2 of b.py: cannot import name 'y' from partially initialized module 'a'", 2,
            "from a import y",
        ),
        (
            {"handler.py": "import smtplib\ndef handle(req): pass\n", "email/__init__.py": "MINE = 1\n"},
            "ModuleNotFoundError at line 1: No module named 'email.utils'; the bundle's own email hides the "
            "standard library's: rename it", 1, "import smtplib",
        ),
    ],
    ids=["relative", "beside", "package", "syntax", "in-a-call", "circular", "hidden"],
)  # fmt: skip
def test_what_goes_wrong_in_a_file_of_the_bundle_names_file_line_and_way_out(
    server: Server, deploy: Deploy, files: dict[str, str], message: str, line: int, code: str
) -> None:
    name = deploy("goes-wrong", zipped(*((name, text.encode()) for name, text in files.items())))
    error = assert_envelope(server.call(name), 500, message, is_invoked=True)
    assert error["details"]["exception_line_number"] == line
    assert error["details"]["exception_line_code"] == code
    if message.startswith("SyntaxError"):
        assert error["message"].endswith("(helper.py)")


# ---- executables ----------------------------------------------------------------------------


def static_program() -> bytes:
    """A statically linked executable for x86-64: write(1, "static\\n", 7); exit(0)."""
    code = bytes.fromhex("b801000000bf01000000488d3510000000ba070000000f05b83c00000031ff0f05") + b"static\n"
    at = 0x400000
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, at + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    size = 120 + len(code)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, at, at, size, size, 0x1000) + code


RUNS = """
import os, subprocess
def run(path):
    try:
        done = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout.decode().strip()
    except OSError as error:
        return type(error).__name__
def handle(req):
    return {"body": {name: [run("./bin/" + name), oct(os.stat("bin/" + name).st_mode & 0o7777)]
                     for name in sorted(os.listdir("bin"))}}
"""


@pytest.mark.promise("S128")
def test_an_executable_of_the_bundle_runs_and_a_file_without_the_bit_does_not(
    server: Server, deploy: Deploy
) -> None:
    tools = (("bin/shell", b"#!/bin/sh\necho shell $0\n"), ("bin/static", static_program()),
             ("bin/python", b"#!/usr/bin/env python3\nprint('py')\n"),
             ("bin/plain", b"#!/bin/sh\necho no\n"))  # fmt: skip
    modes = {"bin/shell": 0o100755, "bin/python": 0o104711, "bin/static": 0o107755, "bin/plain": 0o100644}
    name = deploy("runs", zipped(("handler.py", RUNS.encode()), *tools, modes=modes))
    assert as_json(server.call(name)) == {
        "plain": ["PermissionError", "0o644"],
        "python": ["py", "0o755"],
        "shell": ["shell ./bin/shell", "0o755"],
        "static": ["static", "0o755"],
    }
