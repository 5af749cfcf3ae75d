"""A kernel of Debian's for the guest: downloaded and unpacked below the cache, never installed.

Theory of operation.  The machine's own apt sources are copied, for the newer kernel with the suite
changed to that of the backports, and apt works on them with lists and downloads in a folder of ours: it
checks signatures as ever, needs no root, and the machine's own state stays as it is.  Only what a guest
needs is unpacked.  A kernel that is there is used again; ``make clean`` is how to get a newer one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

META_PACKAGE = "linux-image-amd64"
# Some 400 kB of lists and 110 MB of kernel; ten minutes still let a slow line through.
APT_SECONDS = 600
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources")
# The image, its configuration for whoever wonders, and the modules that a guest may load.
_KEPT = re.compile(
    r"\./(?:usr/)?(?:boot/(?:vmlinuz|config)-|lib/modules/[^/]+/"
    r"(?:modules\.builtin$|kernel/(?:fs|net/9p|drivers/virtio|drivers/char)/))"
)
_ONE_LINE = re.compile(r"(?P<head>deb\s+(?:\[[^]]*\]\s+)?\S+\s+)(?P<suite>\S+)\s+(?P<parts>.+)")
_SUITES = re.compile(r"^Suites:(?P<suites>.*)$", re.MULTILINE)
_COMPONENTS = re.compile(r"^Components:.*\bmain\b", re.MULTILINE)


class KernelError(Exception):
    """No kernel could be had; the text says why."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: what qemu boots, and the folder ``lib/modules/VERSION``."""

    image: Path
    modules: Path

    @property
    def version(self) -> str:
        """As ``uname -r`` says it."""
        return self.modules.name


def kernel(cache: Path, kind: str) -> Kernel:
    """The kernel of ``kind``: ``stable``, the release's own, or ``backports``, a newer one.

    Raises KernelError if it is neither in the cache nor to be had.
    """
    folder = cache / kind
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _unpack(_download(folder, kind), folder)
        (folder / "complete").touch()
    images, modules = list(folder.glob("**/boot/vmlinuz-*")), list(folder.glob("**/lib/modules/*"))
    if len(images) != 1 or len(modules) != 1:
        raise KernelError(f"no kernel, or several, in {folder}; remove it and try again")
    return Kernel(images[0], modules[0])


def _download(folder: Path, kind: str) -> Path:
    release = codename(Path("/etc/os-release").read_text())
    texts = {path.suffix: "" for path in map(Path, SOURCES)}
    for pattern in SOURCES:
        for path in sorted(Path("/").glob(pattern.lstrip("/"))):
            texts[path.suffix] += path.read_text() + "\n\n"
    deb822 = "\n\n".join(stanzas(texts[".sources"], release, kind))
    one_line = "\n".join(lines(texts[".list"], release, kind))
    if not deb822 and not one_line:
        raise KernelError(f"no apt source of this machine is for Debian {release}")
    sources = folder / "sources"
    sources.mkdir()
    (sources / "guest.sources").write_text(deb822 + "\n")
    (sources / "guest.list").write_text(one_line + "\n")
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "archives/partial").mkdir(parents=True)
    (folder / "status").touch()
    # A source that has no such suite is an error of update, but no reason not to look at the others.
    updated = _apt(folder, "apt-get", "update", "-qq")
    depends = _apt(folder, "apt-cache", "depends", META_PACKAGE)
    found = re.search(r"^\s*Depends: (linux-image-\S+)$", depends.stdout, re.MULTILINE)
    if found is None:
        raise KernelError(f"no {META_PACKAGE} in {release}, {kind}: {updated.stderr.strip()[-500:]}")
    downloaded = _apt(folder, "apt-get", "download", "-qq", found[1])
    packages = list(folder.glob("*.deb"))
    if downloaded.returncode or len(packages) != 1:
        raise KernelError(f"cannot download {found[1]}: {downloaded.stderr.strip()[-500:]}")
    return packages[0]


def _apt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": folder / "sources",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        # As root apt would become a user who may not write here.
        "APT::Sandbox::User": "",
        "Acquire::Retries": 2,
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    try:
        return subprocess.run(
            [command[0], *options, *command[1:]],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=APT_SECONDS, check=False,
        )  # fmt: skip
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"cannot download a kernel: {error}") from error


def codename(os_release: str) -> str:
    """Debian's name for the release, from the text of ``os-release``.  Raises KernelError elsewhere."""
    found = re.search(r'^VERSION_CODENAME="?(\w+)', os_release, re.MULTILINE)
    if found is None or not re.search(r'^ID="?debian\b', os_release, re.MULTILINE):
        raise KernelError("a kernel is downloaded with Debian's apt, and this is not Debian")
    return found[1]


def stanzas(text: str, release: str, kind: str) -> Iterator[str]:
    """Those of a ``.sources`` file that are of the release, with the suites that ``kind`` wants."""
    for stanza in re.split(r"\n\s*\n", text):
        found = _SUITES.search(stanza)
        if found is None or not _COMPONENTS.search(stanza):
            continue
        wanted = suites(found["suites"].split(), release, kind)
        if wanted:
            yield _SUITES.sub("Suites: " + " ".join(wanted), stanza).strip()


def lines(text: str, release: str, kind: str) -> Iterator[str]:
    """The same of a ``sources.list``."""
    for line in text.splitlines():
        found = _ONE_LINE.match(line.strip())
        if found and "main" in found["parts"].split():
            for suite in suites([found["suite"]], release, kind):
                yield f"{found['head']}{suite} {found['parts']}"


def suites(given: list[str], release: str, kind: str) -> list[str]:
    """What to ask a source for that now gives these suites; nothing where it is no source of Debian's."""
    if kind == "stable":
        return [suite for suite in given if suite == release or suite.startswith(f"{release}-")]
    return [f"{release}-backports"] if release in given else []


def _unpack(package: Path, folder: Path) -> None:
    # Streamed: whole, a kernel's modules are some hundreds of megabytes.
    process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    assert process.stdout is not None  # it was asked for
    with process.stdout, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member) if _KEPT.match(member.name) else None
            if content is not None:  # a file, and no folder or link
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
    if process.wait(APT_SECONDS):
        raise KernelError(f"cannot unpack {package.name}")
    package.unlink()
