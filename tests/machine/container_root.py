"""A Debian root with podman, an ordinary user, and our image's files: for a guest that runs containers."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.machine.debian_root import INSTALL_SECONDS, REPOSITORY, debootstrapped, ran
from tests.support.engine import Engine

# Recommended packages are left out, so what rootless podman needs is named: crun runs it, the user's own
# manager gives it groups.
PACKAGES = (
    "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3,curl,procps,ca-certificates,"
    "podman,crun,uidmap,slirp4netns,fuse-overlayfs,iptables"
)
USER, USER_ID = "ordinary", 1001
PROFILE = "/opt/container.json"


def container_root(folder: Path, image: str, options: dict[str, list[str]]) -> Path:
    """``options``: who starts the container, ``rootful`` or ``rootless``, and with what."""
    root = folder / "root"
    debootstrapped("bookworm", root, PACKAGES)
    ran("chroot", str(root), "useradd", "--create-home", "--uid", str(USER_ID), USER)
    # Its manager runs although nobody logs in.
    linger = root / "var/lib/systemd/linger"
    linger.mkdir(parents=True, exist_ok=True)
    (linger / USER).touch()
    _unpacked(folder, image, root / "image")
    # A user's containers have files of the user's, whom they show as root.
    theirs = root / "image-of-user"
    ran("cp", "-a", str(root / "image"), str(theirs), seconds=INSTALL_SECONDS)
    ran("chown", "--recursive", "--no-dereference", f"{USER_ID}:{USER_ID}", str(theirs))
    shutil.copy(REPOSITORY / "seccomp/container.json", f"{root}{PROFILE}")
    for who, words in options.items():
        (root / "opt" / who).write_text("".join(f"{word}\n" for word in words))
    return root


def _unpacked(folder: Path, image: str, place: Path) -> None:
    engine, archive, name = Engine(None, folder), folder / "image.tar", f"{folder.name}-files"
    engine.run("create", "--name", name, image)
    try:
        engine.run("export", "--output", str(archive), name)
    finally:
        engine.run("rm", name)
    place.mkdir()
    ran("tar", "-C", str(place), "-xf", str(archive), seconds=INSTALL_SECONDS)
    archive.unlink()
