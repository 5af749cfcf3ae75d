"""Builds the minimal read-only root of a zygote or a front: all that the process sees of the host.

Every source is opened before anything is mounted.  So no path can be swapped meanwhile, and the folder that
we build in may hide sources.
"""

# No ``from __future__ import annotations``: ``launcher.LAUNCH`` reads those of Root.

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail import host_names
from supervisor.warden.jail.device_nodes import LINKS, NODES, own_devices
from worker.message_fields import DictBound, IntBound, ListBound, TextBound

# Where the root is built: on a tmpfs over this folder, in a private mount namespace.
BUILD_PLACE = "/tmp"  # noqa: S108
EMPTY = "/function"  # empty until a cell's code is mounted there
ROOT_BYTES = 8 << 20  # for folders, links and files
COPY_MOST_BYTES = 512 << 10
# Removed by the zygote once its interpreter runs.
START_ONLY_FOLDER = "/sys"
START_ONLY_BYTES = 64 << 10

PATHS_MOST = 1000
_PATH = TextBound(4096)
_Paths = Annotated[dict[str, str], DictBound(_PATH, _PATH, PATHS_MOST)]
_Files = Annotated[dict[str, str], DictBound(_PATH, TextBound(COPY_MOST_BYTES), PATHS_MOST)]
_Places = Annotated[Sequence[str], ListBound(_PATH, PATHS_MOST)]

_SAFE = sys_.MOUNT_ATTR_NOSUID | sys_.MOUNT_ATTR_NODEV
_READ_ONLY = sys_.MOUNT_ATTR_RDONLY | _SAFE


@dataclass(repr=False)
class Root:
    """The content of a root.  ``read_only`` and ``writable`` map a path on the host to its place inside."""

    read_only: _Paths = field(default_factory=dict)
    writable: _Paths = field(default_factory=dict)
    links: _Paths = field(default_factory=dict)
    files: _Files = field(default_factory=dict)
    # Paths of small host files that are copied, because they may change while they are read.
    copies: _Places = ()
    # Path → content, of files below START_ONLY_FOLDER that the C library reads when the interpreter starts.
    start_only_files: _Files = field(default_factory=dict)
    folders: _Places = ()
    with_proc: bool = False
    tmp_bytes: Annotated[int, IntBound()] = 0


# Files in /etc that programs read and that reveal nothing but the distribution.
COPIES = (
    "/etc/services", "/etc/protocols", "/etc/mime.types", "/etc/ssl/openssl.cnf", "/etc/os-release",
    "/etc/debian_version",
)  # fmt: skip
# Links of Debian's alternatives system that shell scripts use.
ALTERNATIVES = ("awk", "nawk", "pager", "which")
# For fontconfig: without its configuration it prints an error, without its cache it reads every font.
FONTS = ("/etc/fonts", "/usr/share/fontconfig", "/usr/share/fonts", "/usr/local/share/fonts",
         "/var/cache/fontconfig")  # fmt: skip
NO_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""
USERS = """\
root:x:0:0:root:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/tmp:/bin/sh
cell:x:1000:1000:cell:/tmp:/bin/sh
"""
GROUPS = "root:x:0:\nnogroup:x:65534:\ncell:x:1000:\n"


def system_root() -> Root:
    """The host's libraries and programs, certificates and time zones, and a made-up ``/etc``."""
    root = Root()
    for path in ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/bin", "/usr/share/zoneinfo",
                 "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/ssl/certs",
                 "/etc/ld.so.cache", *FONTS):  # fmt: skip
        if os.path.exists(path) and not os.path.islink(path):
            root.read_only[path] = path
    for path in ("/bin", "/lib", "/lib32", "/lib64", "/usr/lib64"):
        if os.path.islink(path):
            root.links[path] = os.readlink(path)
        elif os.path.isdir(path):
            root.read_only[path] = path
    root.links["/etc/localtime"] = "/usr/share/zoneinfo/UTC"
    for name in ALTERNATIVES:
        if os.path.islink(f"/etc/alternatives/{name}"):
            root.links[f"/etc/alternatives/{name}"] = os.readlink(f"/etc/alternatives/{name}")
    for name in host_names.NAMES_FILES:
        root.links[f"/etc/{name}"] = f"{os.path.basename(host_names.NAMES_FOLDER)}/{name}"
    for name, target in LINKS.items():
        root.links[f"/dev/{name}"] = target
    root.files = {
        "/etc/passwd": USERS,
        "/etc/group": GROUPS,
        "/etc/hostname": "cell\n",
        **{f"{host_names.NAMES_FOLDER}/{name}": text for name, text in host_names.NO_NETWORK.items()},
    }
    if "/etc/fonts" not in root.read_only:
        root.files["/etc/fonts/fonts.conf"] = NO_FONTS
    root.copies = COPIES
    root.folders = ("/tmp", "/dev/shm")  # noqa: S108 - places inside the new root
    return root


def enter(root: Root) -> None:
    """Build the root and enter it.  Raises OSError if a step fails."""
    sys_.unshare(sys_.CLONE_NEWNS)
    sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)
    trees = _open_trees(root)
    copies = {path: content for path in root.copies if (content := _copied(path)) is not None}
    # A tree that is mounted at another place than on the host becomes an overlay, to hide its path there.
    hidden = {
        place: os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for source, place in root.read_only.items()
        if EMPTY in root.folders and source != place and os.path.isdir(source)
    }
    sys_.mount("tmpfs", BUILD_PLACE, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, f"size={ROOT_BYTES},mode=755")
    for folder in root.folders:
        _folder(folder)
    # Before the trees, because one of them may be below /tmp.
    if root.tmp_bytes:
        options = f"size={root.tmp_bytes},mode=1777"
        place = BUILD_PLACE + "/tmp"  # noqa: S108 - the new root's own
        sys_.mount("tmpfs", place, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, options)
    # Parents first: /usr/lib before a runtime below it.
    for place in sorted(trees, key=lambda place: place.count("/")):
        descriptor, is_folder = trees[place]
        _mount_point(place, is_folder)
        if place in hidden:
            descriptor = _hidden(descriptor, hidden[place])
        sys_.attach(descriptor, BUILD_PLACE + place)
        os.close(descriptor)
    for path, target in root.links.items():
        _folder(os.path.dirname(path))
        if not os.path.lexists(BUILD_PLACE + path):
            os.symlink(target, BUILD_PLACE + path)
    if root.start_only_files:
        _folder(START_ONLY_FOLDER)
        options = f"size={START_ONLY_BYTES},mode=755"
        sys_.mount("tmpfs", BUILD_PLACE + START_ONLY_FOLDER, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, options)
    written = {path: text.encode() for path, text in {**root.files, **root.start_only_files}.items()}
    for path, content in {**copies, **written}.items():
        _folder(os.path.dirname(path))
        Path(BUILD_PLACE + path).write_bytes(content)
        os.chmod(BUILD_PLACE + path, 0o644)
    os.chdir(BUILD_PLACE)
    sys_.pivot_root_here()
    sys_.umount_detached(".")
    os.chdir("/")
    # Not recursive: writable mounts inside stay writable.
    sys_.set_attributes(-100, _READ_ONLY, "/", recursive=False)


def _open_trees(root: Root) -> dict[str, tuple[int, bool]]:
    """Place → (detached mount with its attributes set, whether it is a folder)."""
    trees = {}
    for sources, attributes in ((root.read_only, _READ_ONLY), (root.writable, _SAFE)):
        for source, place in sources.items():
            trees[place] = (_tree(source, attributes), os.path.isdir(source))
    try:
        trees["/dev"] = (own_devices(), True)
    except OSError:  # an ordinary user cannot make device nodes: mount the host's
        for name in NODES:
            device = f"/dev/{name}"
            attributes = sys_.MOUNT_ATTR_NOSUID | sys_.MOUNT_ATTR_NOEXEC  # not NODEV: it is a device
            trees[device] = (_tree(device, attributes), False)
    if root.with_proc:
        # Whole, or the kernel would refuse a cell a /proc of its own: a new one, where the host's is covered
        # in part by a unit's directives or a container's engine.
        try:
            trees["/proc"] = (sys_.detached("proc", {}, 0), True)
        except OSError:  # not root of the host: the kernel asks whether the one that is there is whole
            uncover_proc()
            trees["/proc"] = (_tree("/proc", 0), True)
    return trees


def uncover_proc() -> None:
    """Remove what a container's engine mounted over parts of /proc, in this mount namespace of our own.

    Where a part is covered, the kernel refuses a cell a /proc of its own.  An ordinary user has no right to
    this: what was mounted before its namespace stays, and the probe ``proc`` has told that already.
    """
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    places = [line.split(" ")[4] for line in lines]
    for place in reversed([place for place in places if place.startswith("/proc/")]):  # the last is on top
        with contextlib.suppress(OSError):
            sys_.umount_detached(place)


def _copied(path: str) -> bytes | None:
    """The content of a host file; None if it is missing or larger than COPY_MOST_BYTES."""
    try:
        with open(path, "rb") as file:
            content = file.read(COPY_MOST_BYTES + 1)
    except OSError:
        return None
    return content if len(content) <= COPY_MOST_BYTES else None


def _hidden(tree: int, folder: int) -> int:
    """The folder as an overlay, which hides its path (``overlay``); ``tree`` itself without overlayfs."""
    empty = os.open(BUILD_PLACE + EMPTY, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = sys_.overlay(folder, empty, _READ_ONLY)
    except OSError:
        return tree
    finally:
        os.close(folder)
        os.close(empty)
    os.close(tree)
    return found


def _tree(source: str, attributes: int) -> int:
    descriptor = sys_.clone_tree(source)
    if attributes:
        sys_.set_attributes(descriptor, attributes)
    return descriptor


def _folder(place: str) -> None:
    """Make a folder of the new root, with its parents, each of mode 0755 despite the umask."""
    path = BUILD_PLACE
    for part in place.strip("/").split("/"):
        path = f"{path}/{part}"
        if not os.path.isdir(path):
            os.mkdir(path)
            os.chmod(path, 0o755)  # noqa: S103 - folders of a read-only root


def _mount_point(place: str, is_folder: bool) -> None:
    if is_folder:
        _folder(place)
        return
    _folder(os.path.dirname(place))
    if not os.path.lexists(BUILD_PLACE + place):
        os.close(os.open(BUILD_PLACE + place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
