"""The first file system of a guest: busybox, the modules that reach the real root, and an init script.

It is written here, without cpio(1), depmod(8) and mkinitramfs(8): the format is a header of numbers before
each file, and a module names those that it depends on itself.  What is the same as on a host with that
kernel installed, it is not: only what is needed to mount the real root is in it.
"""

from __future__ import annotations

import lzma
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# ``newc`` of cpio(5), the only form that the kernel reads.
_MAGIC = b"070701"
_END = "TRAILER!!!"
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


@dataclass(frozen=True)
class Entry:
    """One file, folder or device of the archive; ``mode`` has the kind in it, as in ``st_mode``."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str) -> Entry:
    """A folder that everyone may enter."""
    return Entry(name, stat.S_IFDIR | 0o755)


def program(name: str, data: bytes) -> Entry:
    """A file that may be executed."""
    return Entry(name, stat.S_IFREG | 0o755, data)


def plain(name: str, data: bytes) -> Entry:
    """A file that may be read."""
    return Entry(name, stat.S_IFREG | 0o644, data)


def console() -> Entry:
    """What the kernel gives to init as its standard streams; without it init is silent."""
    return Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))


def archive(entries: list[Entry]) -> bytes:
    """The archive, uncompressed: a loader that copies memory needs no help with a few megabytes."""
    parts = [_one(number, entry) for number, entry in enumerate([*entries, Entry(_END, 0)], start=1)]
    return b"".join(parts)


def _one(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    # inode, mode, uid, gid, links, time, size, device (2), device that it is (2), name's size, checksum
    numbers = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    header = _MAGIC + b"".join(b"%08x" % each for each in numbers)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def modules(folder: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the wanted modules and of what they depend on, in an order that can be loaded.

    ``folder`` is a kernel's ``lib/modules/VERSION``.  What is built into the kernel is left out.
    Raises LookupError if a module is neither there nor built in.
    """
    files = {_name(path.name): path for path in folder.rglob("*.ko*")}
    built_in = {_name(Path(line).name) for line in (folder / "modules.builtin").read_text().splitlines()}
    seen: set[str] = set()

    def visit(name: str) -> Iterator[tuple[str, bytes]]:
        if name in seen or name in built_in:
            return
        seen.add(name)
        if name not in files:
            raise LookupError(f"the kernel in {folder} has no module {name}")
        data = _read(files[name])
        found = _DEPENDS.search(data)
        for other in found[1].decode().split(",") if found else ():
            if other:
                yield from visit(_name(other))
        yield name, data

    for name in wanted:
        yield from visit(_name(name))


def _name(file: str) -> str:
    # The kernel takes - and _ for the same letter, and so do the names of files and in ``depends``.
    return file.partition(".ko")[0].replace("-", "_")


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
