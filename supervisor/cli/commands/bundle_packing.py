"""From a PATH to the bytes that are deployed: a Python file, a zip made of a folder, or a ready archive.

A folder's zip depends only on the names and contents of its files and on whether their owner may execute
them; order and times are fixed.  So deploying the same files again makes no new version.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BytesIO
from itertools import islice
from pathlib import Path

from supervisor.cli.arguments import bounded_file
from supervisor.cli.command_errors import usage
from supervisor.errors import shown
from supervisor.near_names import COMPARED_MOST, near

HANDLER = "handler.py"
IGNORE_FILE = ".cellblockignore"
ALWAYS_IGNORED = frozenset({"__pycache__", ".git", ".venv", IGNORE_FILE})
IGNORE_MAX_BYTES = 64 * 1024
# They stop someone who packs a home directory by mistake; the server's own limits are usually lower.
BUNDLE_MAX_BYTES = 256 * 1024 * 1024
BUNDLE_MAX_FILES = 50_000
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can have
FILE_MODE, EXECUTABLE_MODE = 0o644, 0o755
ZIP_LEVEL = 6  # fixed, because another level gives other bytes
NAME_MAX_CHARS = 63
TAR_MAGIC_AT = 257


@dataclass(frozen=True)
class Bundle:
    """The bytes to deploy, and the name of ``handler.py`` for messages to its author."""

    content: bytes
    handler: str


def read_bundle(path: Path) -> Bundle:
    """The bundle at ``path``.  Raises CommandFailure (usage) with what to change."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise usage(f"cannot deploy {path}: {reason}{_near(path)}") from None
    if stat.S_ISDIR(mode):
        return Bundle(_zip(path), str(path / HANDLER))
    if not stat.S_ISREG(mode):
        raise usage(f"cannot deploy {path}: it is neither a file nor a folder")
    content = bounded_file(path, BUNDLE_MAX_BYTES)
    if not content.strip():
        raise usage(f"cannot deploy {path}: it is empty; write a function in it: def handle(req): ...")
    if _is_archive(content):
        return Bundle(content, f"{path}/{HANDLER}")
    if path.suffix != ".py":
        raise usage(f"cannot deploy {path}: give a .py file, a folder with a {HANDLER}, a zip or a tar")
    return Bundle(content, str(path))


def _near(path: Path) -> str:
    """``; did you mean …?`` with the names beside a path that is not there; else what a PATH is."""
    try:
        beside = sorted(one.name for one in islice(path.absolute().parent.iterdir(), COMPARED_MOST))
    except (OSError, ValueError):
        beside = []
    if found := near(path.name, beside):
        return f"; did you mean {' or '.join(shown(str(path.parent / name)) for name in found)}?"
    return f"; give a .py file, a folder with a {HANDLER}, a zip or a tar"


def default_name(path: Path) -> str:
    """The function's name if none is given: the name of the folder or file, of handler.py's folder.

    In lower case, with a hyphen for each character that a function's name cannot hold.  Raises
    CommandFailure (usage) if nothing is left.
    """
    absolute = path.absolute()
    if path.name in ("", ".", ".."):
        absolute = path.resolve()
    if absolute.name == HANDLER:
        stem = absolute.parent.name
    elif absolute.is_dir():
        stem = absolute.name
    else:
        # shop.tar.gz is shop; a.b.py is a-b.
        stem = absolute.name.removesuffix(".gz").rpartition(".")[0] or absolute.name
    hyphened = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower())
    name = "-".join(part for part in hyphened.split("-") if part)[:NAME_MAX_CHARS].rstrip("-")
    if not name:
        raise usage(f"cannot make a function's name of {path}; give one with --name")
    return name


def _is_archive(content: bytes) -> bool:
    return content.startswith((b"PK\x03\x04", b"\x1f\x8b")) or content[TAR_MAGIC_AT:].startswith(b"ustar")


def _zip(root: Path) -> bytes:
    if not (root / HANDLER).is_file():
        raise usage(f"cannot deploy {root}: there is no {HANDLER} in it; a bundle needs one at its root")
    buffer = BytesIO()
    left = BUNDLE_MAX_BYTES
    has_handler = False
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=ZIP_LEVEL) as archive:
        for name, path in _files(root):
            content = bounded_file(path, BUNDLE_MAX_BYTES)
            left -= len(content)
            if left < 0:
                raise usage(
                    f"cannot deploy {root}: more than {BUNDLE_MAX_BYTES} bytes; exclude some by {IGNORE_FILE}"
                )
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.create_system = 3  # Unix, also where this runs on another system
            is_executable = path.stat().st_mode & stat.S_IXUSR
            entry.external_attr = (stat.S_IFREG | (EXECUTABLE_MODE if is_executable else FILE_MODE)) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=ZIP_LEVEL)
            has_handler = has_handler or name == HANDLER
    if not has_handler:
        raise usage(f"cannot deploy {root}: its {IGNORE_FILE} excludes {HANDLER}; take that line out")
    return buffer.getvalue()


def _files(root: Path) -> list[tuple[str, Path]]:
    """The files of ``root`` that are not ignored: relative name and path, sorted by name."""
    patterns = _ignore_patterns(root)
    found: list[tuple[str, Path]] = []
    for name, path in _walk(root, "", patterns):
        found.append((name, path))
        if len(found) > BUNDLE_MAX_FILES:
            raise usage(
                f"cannot deploy {root}: more than {BUNDLE_MAX_FILES} files; exclude some by {IGNORE_FILE}"
            )
    return sorted(found)


def _walk(folder: Path, prefix: str, patterns: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        raise usage(
            f"cannot read {folder}: {error.strerror}; list it in {IGNORE_FILE} or correct it"
        ) from None
    for entry in entries:
        name = prefix + entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_ignored(name, is_folder, patterns):
            continue
        if not entry.name.isprintable() or "\\" in entry.name:
            raise usage(f"cannot deploy {shown(name)}: rename it, or list it in {IGNORE_FILE}")
        if is_folder:
            yield from _walk(Path(entry.path), name + "/", patterns)
        elif entry.is_file(follow_symlinks=False):
            yield name, Path(entry.path)
        else:
            # A link could publish a file from outside the folder against its author's will.
            kind = "a symbolic link" if entry.is_symlink() else "not a regular file"
            raise usage(f"cannot deploy {folder / entry.name}: it is {kind}; list it in {IGNORE_FILE}")


def is_ignored(name: str, is_folder: bool, patterns: tuple[str, ...]) -> bool:
    """Whether a file or folder with this relative ``name`` is left out, by :mod:`fnmatch` patterns.

    A pattern with a slash in it matches the whole relative name, one without a slash the last part of it; one
    that ends in a slash matches folders only.
    """
    last = name.rpartition("/")[2]
    if last in ALWAYS_IGNORED:
        return True
    for pattern in patterns:
        bare = pattern.rstrip("/")
        if bare != pattern and not is_folder:
            continue
        if fnmatchcase(name if "/" in bare else last, bare.removeprefix("/")):
            return True
    return False


def _ignore_patterns(root: Path) -> tuple[str, ...]:
    path = root / IGNORE_FILE
    if not path.exists():
        return ()
    try:
        text = bounded_file(path, IGNORE_MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise usage(f"cannot use {path}: it is not UTF-8") from None
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))
