"""What a cell with the host's network knows of other hosts' names: the host's files, as they are now."""

import os

from .. import _syscalls as sys_
from .lockdown_state import Materials

# Links of the cell's /etc lead here.
FOLDER = "/etc/names"
OPTIONS = "size=64k,nr_inodes=16,mode=755"


def put(materials: Materials) -> None:
    """A step of pid 1's, once the cell belongs to a function: a blank one may be older than a change."""
    if not materials.tie.names:
        return
    flags = sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC
    sys_.mount("tmpfs", FOLDER, "tmpfs", flags, OPTIONS)
    for name, content in materials.tie.names.items():
        path = "%s/%s" % (FOLDER, name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o644)  # whatever the umask is
    sys_.mount("none", FOLDER, "none", flags | sys_.MS_REMOUNT | sys_.MS_BIND | sys_.MS_RDONLY)
