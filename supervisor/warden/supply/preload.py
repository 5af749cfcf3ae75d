"""What a zygote has imported before its cells are cloned, and which function has which: pure.

Each fork copies the page tables of all that was imported, each child copies the pages that it writes to,
and each end of a process walks them again.  With the standard library's larger parts that is twice what it
is for what a worker itself needs, with pandas six times.  So there is a zygote for each of three steps, and
a function has the least that its source asks for.  Every cell can import everything: a wrong guess
costs time, and nothing else.  What a bundle brings itself is no guess.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence

from supervisor.bundles.imported_names import ANY, BRINGS


class Ahead(enum.Enum):
    """What is imported; the words are for the log."""

    OWN = ""  # what every worker needs (``worker.zygote``)
    COMMON = "with the standard library"
    LIBRARIES = "with libraries"


# What functions of any size import, and what takes longest: once in a zygote, free in each of its cells.
COMMON_IMPORTS = (
    "asyncio", "base64", "concurrent.futures", "csv", "decimal",
    "email.message", "hashlib", "hmac", "html", "http.client", "logging", "pathlib", "random", "secrets",
    "shutil", "ssl", "statistics", "subprocess", "tempfile", "threading",
    "urllib.parse", "urllib.request", "uuid", "werkzeug.datastructures", "zlib", "function.testing",
    ".capture.log_records", ".serve.async_calls",  # the worker's own
)  # fmt: skip


# Libraries that COMMON imports.
COMMON_LIBRARIES = frozenset(("werkzeug", "markupsafe"))


def ahead_of(imports: Collection[str], preload: Collection[str], installed: Collection[str] = ()) -> Ahead:
    """What a function that imports these has; ``imports`` as ``supervisor.bundles.imported_names`` has them.

    ``installed`` are the modules of the runtime's libraries: what imports one of them ahead holds it, so a
    bundle that brings its own gets nothing of the kind.
    """
    brought = {name.removeprefix(BRINGS) for name in imports if name.startswith(BRINGS)}
    if "" in brought or not brought.isdisjoint(COMMON_LIBRARIES):
        return Ahead.OWN
    names = {name for name in imports if not name.startswith(BRINGS)}
    ahead = _wanted(names, preload)
    return Ahead.COMMON if ahead is Ahead.LIBRARIES and not brought.isdisjoint(installed) else ahead


def _wanted(names: Collection[str], preload: Collection[str]) -> Ahead:
    if ANY in names:
        return Ahead.LIBRARIES if preload else Ahead.COMMON
    if not {name.split(".")[0] for name in preload}.isdisjoint(names):
        return Ahead.LIBRARIES
    # What a library imports is of the standard library, sooner or later.
    return Ahead.COMMON if names else Ahead.OWN


def names_of(ahead: Ahead, preload: Sequence[str]) -> tuple[str, ...]:
    """What its zygote imports besides what every worker needs."""
    return {
        Ahead.OWN: (),
        Ahead.COMMON: COMMON_IMPORTS,
        Ahead.LIBRARIES: (*COMMON_IMPORTS, *preload),
    }[ahead]
