"""What the host knows of other hosts' names, for cells that have its network.

Copies, as they are when a cell is made a function's: a file of the host's own would be an inode that all
such cells share, and its mount would say where it lies.
"""

from __future__ import annotations

import itertools
import logging
import os
import re

log = logging.getLogger("cellblock.names")

# A zygote's root has links to here, and files for cells without a network behind them.
FOLDER = "/etc/names"
# The most bytes that a cell gets of each, without comments; all of them fit a message to it.
FILES = {
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
# Beyond this a file is none of these; lists of hosts to block have megabytes.
READ_MOST_BYTES = 4 << 20
# A cell has a name of its own.
_OWN_HOST = b"127.0.0.1 cell\n"
# Users are the cell's own, whoever knows those of the host.
_OWN_DATABASES = [b"passwd: files\n", b"group: files\n"]
_NAMES_DATABASES = re.compile(rb"\s*(hosts|networks|services|protocols)\s*:.*\n")

# What tells one content of a file from another: device, inode, size, time of change.
_Stamp = tuple[int, int, int, int]


class Names:
    """Read again when a file has changed: else five files were read for each cell."""

    def __init__(self, folder: str = "/etc") -> None:
        self._folder = folder
        self._known: dict[str, tuple[_Stamp, bytes]] = {}

    def files(self) -> dict[str, bytes]:
        """What there is of FILES."""
        found = {name: self._content(name) for name in FILES}
        return {name: content for name, content in found.items() if content}

    def _content(self, name: str) -> bytes:
        path = f"{self._folder}/{name}"
        try:
            found = os.stat(path)  # through links, as a resolver's own file is reached
            stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            known = self._known.get(name)
            if known is None or known[0] != stamp:
                with open(path, "rb") as file:
                    known = stamp, taken(name, file.read(READ_MOST_BYTES))
                self._known[name] = known
            return known[1]
        except OSError:
            return b"" if name == "resolv.conf" else NO_NETWORK.get(name, "").encode()


def taken(name: str, data: bytes) -> bytes:
    """What a cell gets of a file of that content: lines that say something, as many as it may have."""
    says = [line for line in data.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    lines = [line + b"\n" for line in says]
    if name == "nsswitch.conf":
        lines = [*_OWN_DATABASES, *(line for line in lines if _NAMES_DATABASES.fullmatch(line))]
    if name == "hosts":
        lines.insert(0, _OWN_HOST)
    sizes = itertools.accumulate(map(len, lines))
    fits = sum(1 for size in sizes if size <= FILES[name])
    if fits < len(lines):
        log.warning("with network = host cells see %d of the %d lines of /etc/%s", fits, len(lines), name)
    return b"".join(lines[:fits])
