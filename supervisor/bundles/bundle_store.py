"""The bundles on disk: content-addressed, immutable, unpacked.

``<root>/<digest>/`` holds the files of a bundle (0644, or 0755 where their owner may execute them) and its
folders (0755).  The digest is over paths, modes and contents, so that the same code is one bundle
however it was packed.  Rules:

1. A folder named by a digest is complete and on disk: it is made beside (``.incoming-…``), synced
   and renamed.
2. ``collect`` removes what no version names and nobody touched for COLLECT_AFTER_S.  ``add``
   touches, and so does ``touch`` when a function is deleted, whose calls may still run.  Both hold
   ``.lock`` for the moment between looking and renaming.

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
from supervisor.errors import PlatformError

COLLECT_AFTER_S = 3600.0  # longer than any deploy, and than an asynchronous call by the default ceiling
LOCK_WAIT_S = 10.0  # held for two system calls at a time
LOCK_POLL_S = 0.01
FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755  # and nothing else: set-user-id and its like are never kept
FOLDER_MODE = 0o755
_DIGEST = re.compile(r"[0-9a-f]{64}")
_INCOMING, _REMOVED = ".incoming-", ".removed-"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say: the same bundle is the same zip


class BundleStore:
    """The bundles under one folder; several processes may use it at once."""

    def __init__(
        self, root: Path, max_bytes: int, max_entries: int, now: Callable[[], float] = time.time
    ) -> None:
        """``max_bytes`` bounds an upload, and again what comes out of it; ``root`` is made if absent."""
        self.root = root
        self.limits = archives.Limits(max_bytes, max_entries)
        self._now = now
        root.mkdir(mode=FOLDER_MODE, exist_ok=True)

    def path(self, digest: str) -> Path:
        """The folder of a bundle, existing or not; ValueError for what is no digest."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a digest: {digest[:80]!r}")
        return self.root / digest

    def exists(self, digest: str) -> bool:
        """Whether the bundle is here."""
        return self.path(digest).is_dir()

    def add(self, source: bytes) -> str:
        """The digest of an upload, unpacked and on disk when this returns.

        PlatformError 413 or 422 for what cannot be used, 507 when the disk is full.  Nothing is
        left behind by what fails.
        """
        incoming = self.root / f"{_INCOMING}{secrets.token_hex(8)}"
        try:
            incoming.mkdir(mode=0o700)
            try:
                digest = _unpack(source, incoming, self.limits)
                target = self.path(digest)
                known = target.is_dir()
                if not known:
                    _sync_tree(incoming)
                with self._locked():
                    if not target.is_dir():
                        if known:  # collect took it since we looked
                            _sync_tree(incoming)
                        incoming.rename(target)
                        _sync(self.root)
                    self._touch(target)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)  # gone already when it was renamed
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PlatformError(
                    507, "cannot store the bundle: the server's disk is full; tell its operator"
                ) from error
            raise
        return digest

    def code(self, digest: str) -> bytes:
        """``handler.py`` when that is the whole bundle, else a zip of it, always the same bytes.

        PlatformError 500 when the bundle is missing on disk.
        """
        folder = self.path(digest)
        if not folder.is_dir():
            raise PlatformError(
                500,
                f"cannot read the code: bundle {digest[:12]} is missing on the server; "
                "deploy it again, or restore the data directory from a backup",
            )
        found = list(_walk(folder))
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
        """Remove bundles outside ``in_use`` and debris of crashes, untouched for COLLECT_AFTER_S.

        ``in_use`` was read from the store before this is called: what was deployed since has been
        touched since.  Gives the digests removed.
        """
        removed = []
        for entry in sorted(path.name for path in self.root.iterdir()):
            debris = entry.startswith((_INCOMING, _REMOVED))
            if not debris and (entry in in_use or not _DIGEST.fullmatch(entry)):
                continue
            trash = self.root / f"{_REMOVED}{secrets.token_hex(8)}"
            with self._locked():
                try:
                    if self._now() - (self.root / entry).stat().st_mtime < COLLECT_AFTER_S:
                        continue
                    (self.root / entry).rename(trash)
                except FileNotFoundError:  # another server's collect
                    continue
            shutil.rmtree(trash)
            if not debris:
                removed.append(entry)
        return tuple(removed)

    def _touch(self, folder: Path) -> None:
        now = self._now()
        os.utime(folder, (now, now))

    @contextmanager
    def _locked(self) -> Iterator[None]:
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
            os.close(descriptor)  # and the lock with it


def _unpack(source: bytes, folder: Path, limits: archives.Limits) -> str:
    """Write the files of an upload below an empty folder of ours; their digest."""
    contents: dict[str, tuple[int, bytes]] = {}
    for entry in archives.entries(source, limits):
        # entry.path is clean, and there are no links below: nothing here can lead elsewhere.
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
        contents[entry.path] = EXECUTABLE_MODE if entry.is_executable else FILE_MODE, content.digest()
    folder.chmod(FOLDER_MODE)
    digest = hashlib.sha256(b"cellblock bundle 1\n")
    for path, is_folder in _walk(folder):
        mode, content_digest = (FOLDER_MODE, b"") if is_folder else contents[path]
        (folder / path).chmod(mode)  # the umask is not ours to trust
        name = path.encode()
        # Every part has a fixed length or tells it: no two trees give the same bytes.
        digest.update(len(name).to_bytes(4, "big") + name + mode.to_bytes(4, "big"))
        digest.update(content_digest)
    return digest.hexdigest()


def _walk(folder: Path) -> Iterator[tuple[str, bool]]:
    """Every path below, sorted by its bytes, and whether it is a folder."""
    found = [
        (str((Path(base) / name).relative_to(folder)), is_folder)
        for base, folders, files in os.walk(folder)
        for names, is_folder in ((folders, True), (files, False))
        for name in names
    ]
    return iter(sorted(found, key=lambda one: one[0].encode()))


def _sync_tree(folder: Path) -> None:
    for path, _ in _walk(folder):
        _sync(folder / path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
