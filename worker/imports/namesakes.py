"""Lets a bundle's module be found first where another module of the same name exists, as in plain Python.

In plain Python the script's folder comes first on the path, and modules that the interpreter imported for its
own start stay.  A worker has imported more than those before it knows its function.  So when the bundle
brings a module of such a name, the imported one leaves ``sys.modules``.  Code that has imported it before, as
the platform has, keeps it.  A library that imports the name later gets the author's module.

In cells the platform's own package has a name that no bundle has by accident.

What is hidden is state of this process, as ``sys.modules`` is.
"""

import importlib
import os
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from typing import Any, Dict, FrozenSet, List, Optional

from .. import PACKAGE_FOLDER
from ..sandbox import places
from . import import_hooks

# The modules that every supported interpreter has imported before a program's first line (a test compares).
STARTED_WITH = frozenset((
    "__main__", "_bootlocale", "_collections_abc", "_frozen_importlib", "_frozen_importlib_external",
    "_sitebuiltins", "abc", "codecs", "encodings", "genericpath", "io", "os", "posixpath", "site", "stat",
    "zipimport",
))  # fmt: skip
OUR_PACKAGE = __name__.partition(".")[0]
STAYS = STARTED_WITH | {"function", "handler", OUR_PACKAGE}
# Libraries that the platform itself imports, partly on first use.
NEEDED = frozenset(("werkzeug", "markupsafe"))
# The folder of our packages; an author's folder is never a parent of it.
OUR_FOLDER = os.path.dirname(PACKAGE_FOLDER)


def _standard() -> FrozenSet[str]:
    names: Optional[FrozenSet[str]] = getattr(sys, "stdlib_module_names", None)
    if names is None:  # Python 3.9
        library = os.path.dirname(os.__file__)
        files = os.listdir(library) + os.listdir(library + "/lib-dynload")
        names = frozenset(entry.partition(".")[0] for entry in files)
    return names


# Listed once, in the zygote.
STANDARD = _standard()
# The modules that made way for the author's, by full name.
hidden: Dict[str, Any] = {}
# The top-level names that have two modules.
_contested: List[str] = []


def author_first() -> None:
    """Put the bundle's folder first on the path and ours last, and hide what the bundle brings itself."""
    folder = places.function_dir
    if sys.path[:1] == [folder]:
        return
    _contested[:] = contested(folder)
    if _contested:
        _import_own_needs()
        for name in _contested:
            # A change that waits for the standard library's module is not meant for the author's.
            import_hooks.forget(name)
        hidden.update(_taken_out())
    rest = [entry for entry in sys.path if entry not in (folder, OUR_FOLDER)]
    sys.path[:] = [folder, *rest, OUR_FOLDER]


def contested(folder: str) -> List[str]:
    """The bundle's modules that have a namesake, and that plain Python would import instead of it."""
    try:
        entries = os.listdir(folder)
    except OSError:  # there is no code; the import of handler.py will say so
        return []
    names = {entry.partition(".")[0] for entry in entries} - STAYS
    # For nearly all bundles nothing is left here.
    names = {name for name in names if name in sys.modules or name in NEEDED} | (names & STANDARD)
    return sorted(name for name in names if _is_brought(name, folder))


def hides_standard(name: str) -> bool:
    """Whether the bundle brings a module of that name, and the standard library has one."""
    return name in _contested and name in STANDARD


def _is_brought(name: str, folder: str) -> bool:
    # As sys.meta_path has it: a built-in module comes before any module on the path.
    if BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name):
        return False
    spec: Optional[ModuleSpec] = PathFinder.find_spec(name, [folder])
    # A folder without __init__.py counts only if nothing else on the path has the name.
    return spec is not None and spec.origin is not None


def _import_own_needs() -> None:
    """Import what the platform would import on first use, while all names still mean its own modules."""
    from function import request

    request.import_parts()
    importlib.import_module("logging")
    tasks = importlib.import_module(OUR_PACKAGE + ".serve.async_calls")
    tasks.asyncio.get_event_loop_policy()  # the policy is made on first use, too


def _taken_out() -> Dict[str, Any]:
    """Remove the modules of contested names from ``sys.modules``, and return them."""
    found = [full for full in sys.modules if full.partition(".")[0] in _contested]
    return {full: sys.modules.pop(full) for full in found}


class _Ours:
    """A ``with`` block in which contested names mean the platform's modules, for the standard library too.

    No code of the author's may run in it.  A thread of the author's that imports something meanwhile may get
    the wrong module, so the block is for rare cases: an exception that is written down.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._authors: Dict[str, Any] = {}

    def __enter__(self) -> None:
        self._depth += 1
        if _contested and self._depth == 1:
            self._authors = _taken_out()
            sys.modules.update(hidden)
            self._path = list(sys.path)
            sys.path[:] = [entry for entry in self._path if entry != places.function_dir]

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if _contested and self._depth == 0:
            hidden.update(_taken_out())
            sys.modules.update(self._authors)
            sys.path[:] = self._path


ours = _Ours()
