"""Warnings about a bundle whose modules hide others, or are hidden by them; it is deployed all the same.

The names of the standard library are those of the function's Python, as far as the server's knows them; GONE
has what the server's own may lack.
"""

from __future__ import annotations

import sys
from pathlib import Path

from supervisor.bundles.imported_names import modules_of

# What Python has imported before a program's first line, so that no other module of that name is ever
# imported; a test compares this with the modules that a worker keeps.
STARTED_WITH = frozenset((
    "_collections_abc", "_sitebuiltins", "abc", "codecs", "encodings", "genericpath", "io", "os", "posixpath",
    "site", "stat", "zipimport",
)) | set(sys.builtin_module_names)  # fmt: skip
# Former modules of the standard library, by the minor version that lacks them.
GONE = {
    12: frozenset(("asynchat", "asyncore", "distutils", "imp", "smtpd")),
    13: frozenset((
        "aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis",
        "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib",
    )),
}  # fmt: skip
ONCE = frozenset().union(*GONE.values())
SHOWN_MOST = 20


def warnings_of(folder: Path, runtime: str) -> tuple[str, ...]:
    """A sentence for each such module of an unpacked bundle; ``runtime`` is like ``python3.12``.  Blocks."""
    minor = runtime.rpartition(".")[2]
    gone: frozenset[str] = frozenset()
    if minor.isdecimal():
        gone = gone.union(*(names for since, names in GONE.items() if int(minor) >= since))
    names = sorted(modules_of(folder) & ({*sys.stdlib_module_names, *ONCE, "function"} - gone))
    found = [_warning(name, _file_of(folder, name)) for name in names]
    if len(found) > SHOWN_MOST:
        found[SHOWN_MOST:] = [f"{len(found) - SHOWN_MOST} more modules have names of the standard library's"]
    return tuple(found)


def _warning(name: str, file: str) -> str:
    if name == "function":
        return f"{file} is never imported: the package function is the platform's; rename it"
    if name in STARTED_WITH:
        return f"{file} is never imported: Python has its own module {name} before any other; rename it"
    return (
        f"{file} hides the standard library's module {name}: whatever imports {name} gets this one, "
        "libraries too; rename it unless that is meant"
    )


def _file_of(folder: Path, name: str) -> str:
    return f"{name}/" if (folder / name).is_dir() else f"{name}.py"
