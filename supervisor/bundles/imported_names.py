"""The names that a bundle imports: a hint that chooses the zygote of its cells.

The code is hostile and never parsed: CPython's parser crashes on some input.  A missed name, or one too many,
costs time only: every cell can import all libraries, and a zygote has merely imported some of them ahead.

The modules that the bundle brings matter more.  A library that was imported ahead uses the installed module
of such a name, where in plain Python it would get the author's.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

# A bundle that may import anything: not all of it was read.
ANY = "*"
# A bundle that uses parts of the standard library, or of werkzeug, that no worker has imported for itself.
MORE = "+"
# Before a name: the bundle brings a module of that name.  Alone: it brings one of the standard library's
# names, or more names than BROUGHT_MOST.
BRINGS = "="
BROUGHT_MOST = 32

# What every worker has imported already, or imports at no cost; a test compares this with a worker.
WITH_EVERY_WORKER = frozenset((
    "__future__", "_thread", "abc", "ast", "atexit", "builtins", "codecs", "collections", "contextlib",
    "contextvars", "copy", "ctypes", "dataclasses", "datetime", "dis", "enum", "errno", "faulthandler",
    "function", "functools", "gc", "importlib", "inspect", "io", "itertools", "json", "keyword",
    "linecache", "math", "operator", "os", "posixpath", "re", "resource", "select", "selectors",
    "signal", "socket", "stat", "string", "struct", "sys", "textwrap", "time", "token", "tokenize",
    "traceback", "types", "typing", "warnings", "weakref",
))  # fmt: skip

# A function's first call waits for this reading; real handlers with their modules are well below it.
READ_MOST_BYTES = 1 << 20
FILES_MOST = 200
# More names are no list of imports any more; with their lengths they fit a message to the warden.
NAMES_MOST = 64
NAME_MOST_CHARS = 64

_NAME = rb"[A-Za-z_][A-Za-z0-9_]*"
# Each alternative takes time linear in its line.  Imports in functions and behind `try:` or `;` count too.
_STATEMENT = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+(?P<source>" + _NAME + rb")|import[ \t]+(?P<several>[^\n;#]{1,1000}))",
    re.MULTILINE,
)
_CALLED = re.compile(rb"""(?:import_module|__import__)\([ \t]*['"](""" + _NAME + rb")")
_FIRST = re.compile(_NAME)
# ``async def`` needs asyncio's loop; an Event's ``headers`` and ``query`` need werkzeug.
_USED = re.compile(rb"\basync[ \t]+def\b|\.(?:headers|query)\b")


def names_in(source: bytes) -> frozenset[str]:
    """The top-level names that Python source imports; MORE stands for the standard library's.  Pure."""
    found: set[bytes] = set(_CALLED.findall(source))
    for match in _STATEMENT.finditer(source):
        if match["source"] is not None:
            found.add(match["source"])
            continue
        for part in match["several"].split(b","):
            name = _FIRST.match(part.lstrip())
            if name is not None:
                found.add(name.group())
    names = {name.decode() for name in found} - WITH_EVERY_WORKER
    foreign = names - sys.stdlib_module_names
    if foreign != names or _USED.search(source):
        foreign.add(MORE)
    return frozenset(foreign)


def modules_of(folder: Path) -> frozenset[str]:
    """The top-level modules of an unpacked bundle, without its handler; blocks.

    A folder without ``__init__.py`` does not count: Python prefers any other module of that name to it.
    """
    found = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name, _, kind = entry.name.partition(".")
                is_code = kind in ("py", "pyc") or f".{kind}".endswith(".so")
                if is_code if entry.is_file(follow_symlinks=False) else _is_package(folder / entry.name):
                    found.add(name)
    except OSError:  # it is gone, or no descriptor is left: mounting its code reports that
        return frozenset()
    return frozenset(name for name in found if name.isidentifier()) - {"handler"}


def _is_package(folder: Path) -> bool:
    return any((folder / f"__init__.{kind}").is_file() for kind in ("py", "pyc"))


def brought_by(folder: Path) -> tuple[str, ...]:
    """The modules that a bundle brings, as a lease names them: none of these may be imported ahead."""
    names = modules_of(folder)
    is_plain = names.isdisjoint(sys.stdlib_module_names) and len(names) <= BROUGHT_MOST
    if not is_plain or any(len(name) >= NAME_MOST_CHARS for name in names):
        return (BRINGS,)
    return tuple(f"{BRINGS}{name}" for name in sorted(names))


def imports_of(folder: Path) -> tuple[str, ...]:
    """What an unpacked bundle brings, then what its files import, sorted; blocks.

    ANY stands for the imports of compiled code, of a file that cannot be read, and of a bundle beyond the
    bounds above.
    """
    return (*brought_by(folder), *_imported_by(folder))


def _imported_by(folder: Path) -> tuple[str, ...]:
    found: set[str] = set()
    local: set[str] = set()
    left, files = READ_MOST_BYTES, 0
    for base, folders, names in os.walk(folder):
        if Path(base) == folder:
            local = {*folders, *(name.removesuffix(".py") for name in names)}
        for name in names:
            if name.endswith((".so", ".pyc")):
                return (ANY,)
            if not name.endswith(".py"):
                continue
            try:
                with open(Path(base) / name, "rb") as file:
                    source = file.read(left + 1)
            except OSError:  # no descriptor is left, or the file is gone: mounting its code reports that
                return (ANY,)
            # From here on the bytes are hostile.
            left, files = left - len(source), files + 1
            if left < 0 or files > FILES_MOST:
                return (ANY,)
            found |= names_in(source)
    found -= local
    if len(found) > NAMES_MOST - BROUGHT_MOST or any(len(name) > NAME_MOST_CHARS for name in found):
        return (ANY,)
    return tuple(sorted(found))
