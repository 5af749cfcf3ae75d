"""Uploads of every shape, honest and hostile, as bytes."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

CODE = b'def handle(req):\n    return {"body": "ok"}\n'


def zipped(
    *entries: tuple[str, bytes], modes: dict[str, int] | None = None, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """A zip of these names and contents, in this order; ``modes`` are st_mode values by name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name  # the constructor would repair some of them
            info.create_system = 3
            kind = stat.S_IFDIR | 0o755 if name.endswith("/") else stat.S_IFREG | 0o644
            info.external_attr = (modes or {}).get(name, kind) << 16
            info.compress_type = method
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a name that is there twice
                archive.writestr(info, content)
    return packed.getvalue()


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """An entry of a tar; ``fields`` set the header's attributes."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tarred(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these members, in this order."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def tarred_gz(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """The same, compressed."""
    return gzip.compress(tarred(*members), mtime=0)


def packed_both_ways(*entries: tuple[str, bytes]) -> list[Callable[[], bytes]]:
    """The same names and contents as a zip, a tar and a tar.gz."""
    members = [
        member(name.rstrip("/"), content, **({"type": tarfile.DIRTYPE} if name.endswith("/") else {}))
        for name, content in entries
    ]
    return [lambda: zipped(*entries), lambda: tarred(*members), lambda: tarred_gz(*members)]
