"""The bundles on disk: content-addressed, immutable, unpacked.  They are a cache: the store has them all.

``<root>/<digest>/`` holds the files of a bundle (0644, or 0755 for an executable one) and its folders (0755).
The digest covers paths, modes and contents, so the same code is one bundle however it was packed.  Rules:

1. A folder named by a digest is complete and on disk: ``add`` and ``ensure`` make it under another name
   (``.incoming-…``), sync it and rename it.
2. Anybody may delete bundles, or all of ``root``, at any time.  The modification time of a whole bundle's
   folder is WHOLE_MTIME; taking anything out of it changes that.  ``ensure`` brings back what is not whole.
3. ``collect`` removes a bundle that no version names and that nobody touched for COLLECT_AFTER_S.  ``add``
   touches a bundle.  So does ``touch`` when a function is deleted, because its calls may still run.  All of
   them hold ``.lock`` from the look at a folder to its rename.  The access time says when it was touched.

Methods block; call them in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from supervisor.bundles import archives
from supervisor.bundles.packed_bundle import (
    EXECUTABLE_MODE,
    FILE_MODE,
    FOLDER_MODE,
    PieceReader,
    mode_of,
    pack,
    walk,
)
from supervisor.bundles.unpacking_limits import ArchiveEntry, BundleLimits
from supervisor.bundles.whole_mark import WHOLE_MTIME
from supervisor.errors import PlatformError

COLLECT_AFTER_S = 3600.0  # longer than any deploy, and than an asynchronous call by the default ceiling
LOCK_WAIT_S = 10.0  # long: each holder has the lock for a few system calls
LOCK_POLL_S = 0.01
# The highest that the settings may be: a bundle of the store was within them when it was deployed.
STORED_LIMITS = BundleLimits(1 << 32, 1_000_000)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_INCOMING, _REMOVED = ".incoming-", ".removed-"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can have; fixed, so a bundle is always one zip

# The pieces of a bundle in the store (``packed_bundle``), None if it has no such bundle.
PiecesOf = Callable[[str], Iterable[bytes] | None]


class BundleStore:
    """The bundles under one folder; several processes may use it at once."""

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        max_entries: int,
        now: Callable[[], float] = time.time,
        pieces_of: PiecesOf = lambda digest: None,
    ) -> None:
        """``max_bytes`` bounds an upload packed and unpacked; ``root`` is made if absent."""
        self.root = root
        self.limits = BundleLimits(max_bytes, max_entries)
        self._now = now
        self._pieces_of = pieces_of
        self._make_root()

    def path(self, digest: str) -> Path:
        """The folder of a bundle, existing or not; ValueError for a text that is no digest."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a digest: {digest[:80]!r}")
        return self.root / digest

    def exists(self, digest: str) -> bool:
        """Whether the bundle is here, as far as its folder tells."""
        try:
            status = self.path(digest).stat(follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and int(status.st_mtime) == WHOLE_MTIME

    def add(self, source: bytes) -> str:
        """Unpack an upload; its digest, once the bundle is on disk.

        PlatformError 413 or 422 for a bundle that cannot be used, 507 when the disk is full.  An upload
        that fails leaves nothing behind.
        """
        return self._put(archives.entries(source, self.limits))

    def ensure(self, digest: str) -> Path:
        """The folder of a bundle, brought back from the store if it is not whole.

        PlatformError 500 when the store has no such bundle, or not as it was; 507 when the disk is full.
        """
        if self.exists(digest):
            return self.path(digest)
        pieces = self._pieces_of(digest)
        if pieces is None:
            raise PlatformError(
                500,
                f"cannot read the code: bundle {digest[:12]} is missing on the server; "
                "deploy it again, or restore the data directory from a backup",
            )
        self._put(archives.entries_of_tar(PieceReader(pieces), STORED_LIMITS), digest)
        return self.path(digest)

    def adopt(self, digest: str) -> bool:
        """Take a folder that an older server made for a bundle of today's; whether it is that bundle."""
        folder = self.path(digest)
        if not folder.is_dir() or folder.is_symlink() or digest_of(folder) != digest:
            return False
        _finish(folder)
        self._touch(folder)
        return True

    def pack(self, digest: str, emit: Callable[[bytes], None]) -> None:
        """Give the pieces of a bundle to ``emit``, as the store keeps them."""
        pack(self.ensure(digest), emit)

    def code(self, digest: str) -> bytes:
        """The bytes of ``handler.py`` when it is the whole bundle, else a zip; the same bytes each time.

        PlatformError as with ``ensure``.
        """
        folder = self.ensure(digest)
        found = list(walk(folder))
        if [path for path, _ in found] == ["handler.py"] and not os.access(folder / "handler.py", os.X_OK):
            return (folder / "handler.py").read_bytes()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, is_folder in found:
                info = zipfile.ZipInfo(f"{path}/" if is_folder else path, _ZIP_DATE)
                info.create_system = 3  # Unix, so that the modes below are read as such
                mode = stat.S_IMODE((folder / path).stat().st_mode)
                info.external_attr = ((stat.S_IFDIR if is_folder else stat.S_IFREG) | mode) << 16
                info.compress_type = zipfile.ZIP_STORED if is_folder else zipfile.ZIP_DEFLATED
                archive.writestr(info, b"" if is_folder else (folder / path).read_bytes())
        return packed.getvalue()

    def touch(self, digests: Iterable[str]) -> None:
        """Keep these bundles from ``collect`` for another COLLECT_AFTER_S."""
        with self._locked():
            for digest in digests:
                if self.exists(digest):
                    self._touch(self.path(digest))

    def collect(self, in_use: Set[str]) -> tuple[str, ...]:
        """Remove what is untouched for COLLECT_AFTER_S: bundles outside ``in_use``, whose digests it
        returns, and debris of crashes.

        The caller reads ``in_use`` from the store first: a bundle that was deployed since then was touched
        since then.
        """
        removed: list[str] = []
        self._make_root()
        for entry in sorted(path.name for path in self.root.iterdir()):
            debris = entry.startswith((_INCOMING, _REMOVED))
            if not debris and (entry in in_use or not _DIGEST.fullmatch(entry)):
                continue
            trash = self.root / f"{_REMOVED}{secrets.token_hex(8)}"
            with self._locked():
                try:
                    status = (self.root / entry).stat()
                    if self._now() - (status.st_mtime if debris else status.st_atime) < COLLECT_AFTER_S:
                        continue
                    (self.root / entry).rename(trash)
                except FileNotFoundError:  # another process collected it
                    continue
            shutil.rmtree(trash)
            if not debris:
                removed.append(entry)
        return tuple(removed)

    def remove(self, digests: Iterable[str]) -> None:
        """Remove bundles from the disk, however lately they were touched; OSError."""
        for digest in digests:
            trash = self.root / f"{_REMOVED}{secrets.token_hex(8)}"
            with self._locked():
                try:
                    self.path(digest).rename(trash)
                except FileNotFoundError:
                    continue
            shutil.rmtree(trash)

    def _put(self, entries: Iterator[ArchiveEntry], wanted: str | None = None) -> str:
        """Unpack and put in its place; the digest, PlatformError 500 if it is not the one that is wanted."""
        try:
            self._make_root()
            incoming = self.root / f"{_INCOMING}{secrets.token_hex(8)}"
            incoming.mkdir(mode=0o700)
            try:
                digest = _unpack(entries, incoming)
                if wanted not in (None, digest):
                    raise PlatformError(
                        500,
                        f"the store's copy of bundle {wanted[:12]} is damaged; "
                        "deploy it again, or restore a backup",
                    )
                self._move_in(incoming, digest)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)  # it is gone when it was renamed
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PlatformError(
                    507, "cannot store the bundle: the server's disk is full; tell its operator"
                ) from error
            raise
        return digest

    def _move_in(self, incoming: Path, digest: str) -> None:
        target = self.path(digest)
        known = self.exists(digest)
        if not known:
            _sync_tree(incoming)
        with self._locked():
            if not self.exists(digest):
                if known:  # ``collect`` removed it since we looked
                    _sync_tree(incoming)
                if os.path.lexists(target):  # somebody deleted a part of it
                    target.rename(self.root / f"{_REMOVED}{secrets.token_hex(8)}")
                self._touch(incoming)
                incoming.rename(target)
                _sync(self.root)
            else:
                self._touch(target)

    def _make_root(self) -> None:
        self.root.mkdir(mode=FOLDER_MODE, exist_ok=True)

    def _touch(self, folder: Path) -> None:
        os.utime(folder, (self._now(), WHOLE_MTIME))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make_root()
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + LOCK_WAIT_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise PlatformError(
                            503,
                            "The server's bundles are busy; try again in a moment",
                            headers={"Retry-After": "1"},
                        ) from None
                    time.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)  # releases the lock


def digest_of(folder: Path) -> str:
    """The digest of an unpacked bundle, by reading all of it; OSError."""
    contents = {}
    for path, is_folder in walk(folder):
        if not is_folder:
            with open(folder / path, "rb") as file:
                status = os.fstat(file.fileno())
                contents[path] = mode_of(status), hashlib.file_digest(file, "sha256").digest()
    return _digest(walk(folder), contents)


def _digest(paths: Iterable[tuple[str, bool]], contents: dict[str, tuple[int, bytes]]) -> str:
    digest = hashlib.sha256(b"cellblock bundle 1\n")
    for path, is_folder in paths:
        mode, content_digest = (FOLDER_MODE, b"") if is_folder else contents[path]
        name = path.encode()
        # Every part has a fixed length or states it: no two trees give the same bytes.
        digest.update(len(name).to_bytes(4, "big") + name + mode.to_bytes(4, "big"))
        digest.update(content_digest)
    return digest.hexdigest()


def _unpack(entries: Iterator[ArchiveEntry], folder: Path) -> str:
    """Write the files of an upload below an empty folder of ours; the bundle's digest."""
    contents: dict[str, tuple[int, bytes]] = {}
    for entry in entries:
        # ``entry.path`` is clean and the folder has no links: no path leads out of it.
        target = folder / entry.path
        if entry.chunks is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        content = hashlib.sha256()
        with open(target, "xb") as file:
            for chunk in entry.chunks:
                file.write(chunk)
                content.update(chunk)
        mode = EXECUTABLE_MODE if entry.is_executable else FILE_MODE
        target.chmod(mode)
        contents[entry.path] = mode, content.digest()
    _finish(folder)
    return _digest(walk(folder), contents)


def _finish(folder: Path) -> None:
    """Give files and folders their modes, whatever the umask is."""
    folder.chmod(FOLDER_MODE)
    for path, is_folder in walk(folder):
        place = folder / path
        place.chmod(FOLDER_MODE if is_folder else mode_of(place.stat(follow_symlinks=False)))


def _sync_tree(folder: Path) -> None:
    for path, _ in walk(folder):
        _sync(folder / path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
