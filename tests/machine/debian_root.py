"""Debian roots by debootstrap, with this server and released ones installed as docs/systemd.md says."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
STEPS = Path(__file__).parent / "steps"
# curl and procps are the steps' own; libodbc2 is what `make setup` would install.
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates,make,git,curl,procps,libodbc2"
PROGRAMS = ("debootstrap", "podman", "runc")
# A slow line has to bring 150 MB of packages, or 300 MB of libraries.
INSTALL_SECONDS = 1200
STEP_SECONDS = 120
# What is upgraded from: the first release whose unit could be used, and the one before this.
RELEASES = ("0.6.1", "0.8.0")
# Variables by which a machine reaches its package registries, and the folders that pip is told of.
OF_REGISTRIES = ("PIP_", "SSL_", "REQUESTS_", "CURL_")
PODMAN = ("podman", "--runtime", "runc")
# In a container that may do anything; a machine's own limits may be below podman's.
ALLOWED = ("--privileged", "--ulimit", "nofile=16384:16384", "--ulimit", "nproc=16384:16384")


class MachineMissing(Exception):
    """The machine cannot be made here; the text says what is missing."""


def ran(*words: str, seconds: float = STEP_SECONDS, **more: str) -> str:
    """What a command printed; it has to succeed."""
    ended = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **more},
    )
    assert ended.returncode == 0, f"{words}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def missing() -> str:
    """What this machine lacks for a root to be made; empty if nothing."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0:
        return "needs root"
    return f"needs {', '.join(lacking)} (apt-get install {' '.join(lacking)})" if lacking else ""


def commit_of(release: str) -> str | None:
    """The commit that CHANGELOG.md names; None if this clone does not have it."""
    section = (REPOSITORY / "CHANGELOG.md").read_text().split(f"\n## {release} ")[1].split("\n## ")[0]
    (commit,) = re.findall(r"^Commit `(\w+)`\.$", section, re.MULTILINE)
    known = subprocess.run(
        ["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=REPOSITORY, capture_output=True, check=False
    )
    return commit if known.returncode == 0 else None


def mirror() -> list[str]:
    """The one that this machine's own packages come from, if it says so."""
    folder = Path("/etc/apt")
    paths = [folder / "sources.list", *folder.glob("sources.list.d/*")]
    text = "\n".join(path.read_text() for path in paths if path.is_file())
    found = re.findall(r"^(?:URIs:|deb(?: +\[.*?\])?) *(\S+/debian)/?(?: |$)", text, re.MULTILINE)
    return found[:1]


def debootstrapped(suite: str, path: Path, packages: str) -> None:
    """A minimal Debian with these packages; of CELLBLOCK_TEST_ROOTS, a folder, if one is kept there."""
    kept = os.environ.get("CELLBLOCK_TEST_ROOTS")
    name = f"{suite}-{hashlib.sha256(packages.encode()).hexdigest()[:8]}"
    made = Path(kept) / name if kept else path
    if not (made / "usr").is_dir():
        command = ("debootstrap", "--variant=minbase", f"--include={packages}", suite, str(made))
        ran(*command, *mirror(), seconds=INSTALL_SECONDS)
    if made != path:
        ran("cp", "-a", str(made), str(path), seconds=INSTALL_SECONDS)


class DebianRoot:
    """A root of ``suite`` in ``folder``: its directory /opt/cellblock is this checkout's committed state."""

    def __init__(self, suite: str, folder: Path, releases: tuple[str, ...]) -> None:
        """Made at once; raises AssertionError with what a command said."""
        self.path = folder / "root"
        self.configuration = {"CONTAINERS_CONF": str(folder / "containers.conf")}
        (folder / "containers.conf").write_text("[containers]\ndefault_ulimits = []\n")
        debootstrapped(suite, self.path, PACKAGES)
        self._as_this_machine()
        place = self.path / "opt/cellblock"
        ran("git", "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(place))
        ours = ran("git", "-C", str(place), "rev-parse", "HEAD").strip()
        (self.path / "opt/releases").mkdir()
        for release in releases:
            # An environment cannot be moved: it is made at its place, and comes back there to be used.
            self._set_up(commit_of(release) or "", f"cp -a /opt/cellblock /opt/releases/{release}")
        # Over what the last of them left, as an upgrade does.
        self._set_up(ours, "true")

    def _as_this_machine(self) -> None:
        """It reaches registries as this machine does."""
        etc = self.path / "etc"
        for name in ("ssl/certs/ca-certificates.crt", "resolv.conf", "hosts", "pip.conf"):
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), etc / name)

    def _set_up(self, commit: str, then: str) -> None:
        given = [f"--env={name}" for name in os.environ if name.startswith(OF_REGISTRIES)]
        links = [path for path in os.environ.get("PIP_FIND_LINKS", "").split() if Path(path).is_dir()]
        volumes = [f"--volume={path}:{path}:ro" for path in links]
        script = f"cd /opt/cellblock && git checkout --quiet --detach {commit} && make setup && {then}"
        ran(
            *PODMAN, "run", "--rm", *ALLOWED, "--network=host", *given, *volumes,
            "--rootfs", str(self.path), "bash", "-c", script, seconds=INSTALL_SECONDS, **self.configuration,
        )  # fmt: skip
