"""Whose module a top-level name is: the author's, wherever plain Python gives authors theirs.

In plain Python the script's folder comes first on the path, and what the interpreter has imported for its
own start stays.  A worker has imported more than that before it knows its function, so whatever the bundle
brings under such a name is let in here: what was imported leaves ``sys.modules``, and whoever holds it,
the platform first of all, goes on with it.  A library that imports such a name later gets the author's,
as it would in plain Python.

The platform's own package has a name in cells that no bundle has by accident, so it is in nobody's way.
"""

import importlib
import os
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from typing import Any, Dict, FrozenSet, List, Optional

from .. import FOLDER
from ..sandbox import places
from . import import_hooks

# What every supported interpreter has imported when the author's first line runs (a test compares).
STARTED_WITH = frozenset((
    "__main__", "_bootlocale", "_collections_abc", "_frozen_importlib", "_frozen_importlib_external",
    "_sitebuiltins", "abc", "codecs", "encodings", "genericpath", "io", "os", "posixpath", "site", "stat",
    "zipimport",
))  # fmt: skip
OURS = __name__.partition(".")[0]
STAYS = STARTED_WITH | {"function", "handler", OURS}
# Of others' what the platform itself imports, some of it when it is first needed.
NEEDED = frozenset(("werkzeug", "markupsafe"))
# Where our packages are; the author's folder of modules is no parent of it.
OUR_FOLDER = os.path.dirname(FOLDER)


def _standard() -> FrozenSet[str]:
    names: Optional[FrozenSet[str]] = getattr(sys, "stdlib_module_names", None)
    if names is None:  # Python 3.9
        library = os.path.dirname(os.__file__)
        files = os.listdir(library) + os.listdir(library + "/lib-dynload")
        names = frozenset(entry.partition(".")[0] for entry in files)
    return names


# Found out once, in the zygote.
STANDARD = _standard()
# What made way for a module of the author's, by its full name.
hidden: Dict[str, Any] = {}
# The top-level names of which there are two.
_two: List[str] = []


def author_first() -> None:
    """The bundle's folder first on the path, ours last, and no module before one that the bundle brings."""
    folder = places.function_dir
    if sys.path[:1] == [folder]:
        return
    _two[:] = contested(folder)
    if _two:
        _hold()
        for name in _two:
            # Who waits for the standard library's own module does not mean the author's.
            import_hooks.forget(name)
        hidden.update(_taken_out())
    rest = [entry for entry in sys.path if entry not in (folder, OUR_FOLDER)]
    sys.path[:] = [folder, *rest, OUR_FOLDER]


def contested(folder: str) -> List[str]:
    """The modules of the bundle that are not the only ones of their names, where plain Python takes them."""
    try:
        entries = os.listdir(folder)
    except OSError:  # there is no code: whoever opens handler.py says so
        return []
    names = {entry.partition(".")[0] for entry in entries} - STAYS
    # Nearly all bundles end here.
    names = {name for name in names if name in sys.modules or name in NEEDED} | (names & STANDARD)
    return sorted(name for name in names if _is_brought(name, folder))


def hides_standard(name: str) -> bool:
    """Whether the bundle brings a module of that name, and the standard library has one."""
    return name in _two and name in STANDARD


def _is_brought(name: str, folder: str) -> bool:
    # In the order of sys.meta_path: nothing on a path comes before what is built in.
    if BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name):
        return False
    spec: Optional[ModuleSpec] = PathFinder.find_spec(name, [folder])
    # A folder without __init__.py is only the last resort, behind all that is on the path.
    return spec is not None and spec.origin is not None


def _hold() -> None:
    """What the platform imports when it is first needed it imports now, while all names are its own."""
    from function import request

    request.hold()
    importlib.import_module("logging")
    tasks = importlib.import_module(OURS + ".serve.async_calls")
    tasks.asyncio.get_event_loop_policy()  # it is made when it is first asked for


def _taken_out() -> Dict[str, Any]:
    """What is imported of those names, and from now on is not."""
    found = [full for full in sys.modules if full.partition(".")[0] in _two]
    return {full: sys.modules.pop(full) for full in found}


class _Ours:
    """A moment in which all names are the platform's: the standard library, too, imports when it needs to.

    Not for code of the author's.  A thread of the author's that imports in this moment may get what is not
    meant for it, so it is for what is rare: an exception that is written down.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._theirs: Dict[str, Any] = {}

    def __enter__(self) -> None:
        self._depth += 1
        if _two and self._depth == 1:
            self._theirs = _taken_out()
            sys.modules.update(hidden)
            self._path = list(sys.path)
            sys.path[:] = [entry for entry in self._path if entry != places.function_dir]

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if _two and self._depth == 0:
            hidden.update(_taken_out())
            sys.modules.update(self._theirs)
            sys.path[:] = self._path


ours = _Ours()
