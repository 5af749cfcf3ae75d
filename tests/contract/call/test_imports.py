"""Whose module a function imports: the author's own, wherever plain Python would give it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.call.conftest import Deploy, as_json
from tests.support.packing import zipped
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import Server

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
    own_packages = sorted(PACKAGES.intersection(names))
    source = (
        (HANDLER % (names, "handle")).replace("def handle", head).replace("in PACKAGES", f"in {own_packages}")
    )
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


@pytest.mark.promise("S931")
@on_every_runtime
def test_a_bundles_modules_come_before_the_platforms_the_installed_and_the_standard_librarys(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    name = deploy("brought", bundle(BROUGHT, "def handle"), template=runtime_name)
    is_the_authors(server, name, BROUGHT)


@pytest.mark.promise("S931")
@pytest.mark.parametrize(("head", "fresh"), [("async def handle", False), ("def handle", True)])
def test_the_same_of_an_async_handler_and_of_one_whose_calls_are_forked(
    server: Server, deploy: Deploy, head: str, fresh: bool
) -> None:
    name = deploy("brought-too", bundle(BROUGHT, head), fresh=fresh)
    for _ in range(2):
        is_the_authors(server, name, BROUGHT)
