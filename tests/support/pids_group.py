"""A cgroup of a test's own for a server, where the kernel refuses another process when told to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.warden.jail.cgroup_hierarchies import own_places
from tests.support.eventually import eventually

JOIN = 'echo $$ > "$0"/cgroup.procs && exec "$@"'


class PidsGroup:
    """The server in it finds its own groups below; ``wrap`` is for ``Server``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wrap = ("sh", "-c", JOIN, str(folder))

    @property
    def running(self) -> int:
        """Processes and threads in the group and below it."""
        return int((self.folder / "pids.current").read_text())

    @contextlib.contextmanager
    def room_for(self, more: int) -> Iterator[None]:
        """No more than so many processes besides those that there are now; EAGAIN for whoever forks.

        With 0 there can be none, whichever end meanwhile.
        """
        self._limit(str(self.running + more if more else 0))
        try:
            yield
        finally:
            self._limit("max")

    def _limit(self, text: str) -> None:
        (self.folder / "pids.max").write_text(text)


@contextlib.contextmanager
def group_of(controller: str, name: str) -> Iterator[Path]:
    """Made below the test's own group; skipped where the host gives it no such controller of v1."""
    places = own_places(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    place = places.get(controller)
    if place is None:
        pytest.skip(
            f"no {controller} controller of cgroup v1: on v2 a group with processes hands nothing down"
        )
    folder = Path(place.path) / f"cellblock-{name}-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        eventually(lambda: _is_removed(folder), "something in the group goes on")


@contextlib.contextmanager
def pids_group(name: str = "test") -> Iterator[PidsGroup]:
    """A group that counts processes."""
    with group_of("pids", name) as folder:
        yield PidsGroup(folder)


def _is_removed(folder: Path) -> bool:
    """Whether the group is gone, with what a server that was killed left in it."""
    try:
        for path in (*sorted((one for one in folder.rglob("*") if one.is_dir()), reverse=True), folder):
            path.rmdir()
    except OSError:  # its processes are just ending
        return False
    return True
