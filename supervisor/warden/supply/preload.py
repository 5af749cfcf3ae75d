"""What a zygote imports before cells are cloned from it, and which zygote a function's cells come from: pure.

More imports make each cell dearer: a fork copies the page tables, a child copies the pages that it writes to,
and its end walks them again.  With the larger modules of the standard library a cell costs twice as much as
with what a worker itself needs, with pandas six times.  So there is a zygote for each of three profiles, and
a function gets the smallest one that covers its imports.  A wrong guess costs only time, because every cell
can import everything.  But a bundle that brings its own copy of a preloaded library must not get a cell that
holds ours.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence

from supervisor.bundles.imported_names import ANY, BRINGS


class ImportProfile(enum.Enum):
    """A set of modules to preload.  The values are for the log."""

    OWN = ""  # only what every worker needs (``worker.zygote``)
    COMMON = "with the standard library"
    LIBRARIES = "with libraries"

    # An object's own hash takes no Python code, as the enumeration's would: see ``CellKind``.
    __hash__ = object.__hash__


# What many functions import and what takes longest to import.
COMMON_IMPORTS = (
    "asyncio", "base64", "concurrent.futures", "csv", "decimal",
    "email.message", "hashlib", "hmac", "html", "http.client", "logging", "pathlib", "random", "secrets",
    "shutil", "ssl", "statistics", "subprocess", "tempfile", "threading",
    "urllib.parse", "urllib.request", "uuid", "werkzeug.datastructures", "zlib", "function.testing",
    ".capture.log_records", ".serve.async_calls",  # the worker's own
)  # fmt: skip


# The libraries among COMMON_IMPORTS.
COMMON_LIBRARIES = frozenset(("werkzeug", "markupsafe"))


def profile_of(
    imports: Collection[str], preload: Collection[str], installed: Collection[str] = ()
) -> ImportProfile:
    """The profile for a function with these imports (in the form of ``supervisor.bundles.imported_names``).

    ``installed`` are the modules of the runtime's libraries.  A bundle that brings one of them itself gets no
    profile that has preloaded libraries.
    """
    brought = {name.removeprefix(BRINGS) for name in imports if name.startswith(BRINGS)}
    if "" in brought or not brought.isdisjoint(COMMON_LIBRARIES):
        return ImportProfile.OWN
    names = {name for name in imports if not name.startswith(BRINGS)}
    profile = _wanted(names, preload)
    return (
        ImportProfile.COMMON
        if profile is ImportProfile.LIBRARIES and not brought.isdisjoint(installed)
        else profile
    )


def _wanted(names: Collection[str], preload: Collection[str]) -> ImportProfile:
    if ANY in names:
        return ImportProfile.LIBRARIES if preload else ImportProfile.COMMON
    if not {name.split(".")[0] for name in preload}.isdisjoint(names):
        return ImportProfile.LIBRARIES
    # Any other library will import much of the standard library.
    return ImportProfile.COMMON if names else ImportProfile.OWN


def preloaded_names(profile: ImportProfile, preload: Sequence[str]) -> tuple[str, ...]:
    """The modules that a zygote of this profile imports, besides what every worker needs."""
    return {
        ImportProfile.OWN: (),
        ImportProfile.COMMON: COMMON_IMPORTS,
        ImportProfile.LIBRARIES: (*COMMON_IMPORTS, *preload),
    }[profile]
