"""The bundles on disk: content-addressed, immutable, unpacked.

``<root>/<digest>/`` holds the files of a bundle (0644, or 0755 for an executable one) and its folders (0755).
The digest covers paths, modes and contents, so the same code is one bundle however it was packed.  Rules:

1. A folder named by a digest is complete and on disk: ``add`` makes it under another name
   (``.incoming-…``), syncs it and renames it.
2. ``collect`` removes a bundle that no version names and that nobody touched for COLLECT_AFTER_S.  ``add``
   touches a bundle.  So does ``touch`` when a function is deleted, because its calls may still run.  All of
   them hold ``.lock`` from the look at a folder to its rename.

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
from supervisor.bundles.unpacking_limits import BundleLimits
from supervisor.errors import PlatformError

COLLECT_AFTER_S = 3600.0  # longer than any deploy, and than an asynchronous call by the default ceiling
LOCK_WAIT_S = 10.0  # long: each holder has the lock for a few system calls
LOCK_POLL_S = 0.01
FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755  # the set-user-id bit and the like are never kept
FOLDER_MODE = 0o755
_DIGEST = re.compile(r"[0-9a-f]{64}")
_INCOMING, _REMOVED = ".incoming-", ".removed-"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can have; fixed, so a bundle is always one zip


class BundleStore:
    """The bundles under one folder; several processes may use it at once."""

    def __init__(
        self, root: Path, max_bytes: int, max_entries: int, now: Callable[[], float] = time.time
    ) -> None:
        """``max_bytes`` bounds an upload packed and unpacked; ``root`` is made if absent."""
        self.root = root
        self.limits = BundleLimits(max_bytes, max_entries)
        self._now = now
        root.mkdir(mode=FOLDER_MODE, exist_ok=True)

    def path(self, digest: str) -> Path:
        """The folder of a bundle, existing or not; ValueError for a text that is no digest."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a digest: {digest[:80]!r}")
        return self.root / digest

    def exists(self, digest: str) -> bool:
        """Whether the bundle is here."""
        return self.path(digest).is_dir()

    def add(self, source: bytes) -> str:
        """Unpack an upload; its digest, once the bundle is on disk.

        PlatformError 413 or 422 for a bundle that cannot be used, 507 when the disk is full.  An upload
        that fails leaves nothing behind.
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
                        if known:  # ``collect`` removed it since we looked
                            _sync_tree(incoming)
                        incoming.rename(target)
                        _sync(self.root)
                    self._touch(target)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)  # it is gone when it was renamed
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise PlatformError(
                    507, "cannot store the bundle: the server's disk is full; tell its operator"
                ) from error
            raise
        return digest

    def code(self, digest: str) -> bytes:
        """The bytes of ``handler.py`` when it is the whole bundle, else a zip; the same bytes each time.

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
        """Remove what is untouched for COLLECT_AFTER_S: bundles outside ``in_use``, whose digests it
        returns, and debris of crashes.

        The caller reads ``in_use`` from the store first: a bundle that was deployed since then was touched
        since then.
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
                except FileNotFoundError:  # another process collected it
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
            os.close(descriptor)  # releases the lock


def _unpack(source: bytes, folder: Path, limits: BundleLimits) -> str:
    """Write the files of an upload below an empty folder of ours; the bundle's digest."""
    contents: dict[str, tuple[int, bytes]] = {}
    for entry in archives.entries(source, limits):
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
        contents[entry.path] = EXECUTABLE_MODE if entry.is_executable else FILE_MODE, content.digest()
    folder.chmod(FOLDER_MODE)
    digest = hashlib.sha256(b"cellblock bundle 1\n")
    for path, is_folder in _walk(folder):
        mode, content_digest = (FOLDER_MODE, b"") if is_folder else contents[path]
        (folder / path).chmod(mode)  # whatever the umask is
        name = path.encode()
        # Every part has a fixed length or states it: no two trees give the same bytes.
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
