"""Copies of the host's resolver files (``resolv.conf``, ``hosts``, ...), for cells with its network.

Each cell gets copies, made when it is tied.  A mount of the host's file would be one inode shared by all
these cells, and mountinfo would show its path.
"""

from __future__ import annotations

import itertools
import logging
import os
import re

log = logging.getLogger("cellblock.names")

# In a zygote's root /etc/resolv.conf and the others are links into this folder, which has NO_NETWORK's files.
NAMES_FOLDER = "/etc/names"
# File → the most bytes of it, without comments, that a cell gets.  All of them fit one message.
NAMES_FILES = {
    "resolv.conf": 4 << 10,
    "hosts": 16 << 10,
    "nsswitch.conf": 2 << 10,
    "host.conf": 1 << 10,
    "gai.conf": 2 << 10,
}
NO_NETWORK = {
    "resolv.conf": "# no name server: the network is none\n",
    "hosts": "127.0.0.1 localhost cell\n::1 localhost cell\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
# The most that is read of a file: a ``hosts`` file that blocks advertisers has megabytes.
READ_MOST_BYTES = 4 << 20
# The host name of each cell.
_OWN_HOST = b"127.0.0.1 cell\n"
# A cell's users are in its own /etc/passwd, wherever the host looks up its own.
_OWN_DATABASES = [b"passwd: files\n", b"group: files\n"]
_NAMES_DATABASES = re.compile(rb"\s*(hosts|networks|services|protocols)\s*:.*\n")

# Tells whether a file has changed: device, inode, size, time of change.
_Stamp = tuple[int, int, int, int]


class HostNames:
    """Caches the files, and reads one again only when it has changed."""

    def __init__(self, folder: str = "/etc") -> None:
        self._folder = folder
        self._known: dict[str, tuple[_Stamp, bytes]] = {}

    def files(self) -> dict[str, bytes]:
        """File → its content, for those of NAMES_FILES that are not empty."""
        found = {name: self._content(name) for name in NAMES_FILES}
        return {name: content for name, content in found.items() if content}

    def _content(self, name: str) -> bytes:
        path = f"{self._folder}/{name}"
        try:
            found = os.stat(path)  # follows links: resolv.conf often is one
            stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            known = self._known.get(name)
            if known is None or known[0] != stamp:
                with open(path, "rb") as file:
                    known = stamp, shortened(name, file.read(READ_MOST_BYTES))
                self._known[name] = known
            return known[1]
        except OSError:
            return b"" if name == "resolv.conf" else NO_NETWORK.get(name, "").encode()


def shortened(name: str, data: bytes) -> bytes:
    """The part of a file that a cell gets: its lines without comments, up to the limit in NAMES_FILES."""
    lines_used = [line for line in data.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    lines = [line + b"\n" for line in lines_used]
    if name == "nsswitch.conf":
        lines = [*_OWN_DATABASES, *(line for line in lines if _NAMES_DATABASES.fullmatch(line))]
    if name == "hosts":
        lines.insert(0, _OWN_HOST)
    sizes = itertools.accumulate(map(len, lines))
    fits = sum(1 for size in sizes if size <= NAMES_FILES[name])
    if fits < len(lines):
        log.warning("with network = host cells see %d of the %d lines of /etc/%s", fits, len(lines), name)
    return b"".join(lines[:fits])
