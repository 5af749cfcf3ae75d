"""Gives a cell with the host's network the host's current files about names (hosts, resolv.conf and such)."""

import os

from .. import _syscalls as sys_
from .lockdown_state import Materials

# Links in the cell's /etc lead here.
NAMES_FOLDER = "/etc/names"
OPTIONS = "size=64k,nr_inodes=16,mode=755"


def put(materials: Materials) -> None:
    """Write the files; a step of PLACE and not of BUILD, for the files may change while a cell is blank."""
    if not materials.tie.names:
        return
    flags = sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC
    sys_.mount("tmpfs", NAMES_FOLDER, "tmpfs", flags, OPTIONS)
    for name, content in materials.tie.names.items():
        path = "%s/%s" % (NAMES_FOLDER, name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o644)  # the umask may say otherwise
    sys_.mount("none", NAMES_FOLDER, "none", flags | sys_.MS_REMOUNT | sys_.MS_BIND | sys_.MS_RDONLY)
