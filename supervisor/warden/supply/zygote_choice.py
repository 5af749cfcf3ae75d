"""Which zygotes there are, and which of them a function's cells come from.

A runtime has one for each step of ``supervisor.warden.supply.preload``, the last where there are libraries
to import. Without namespaces it has one, with all: blank cells count there as processes of whoever runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from supervisor.runtimes import Runtime
from supervisor.warden.cells.confinement import Kind
from supervisor.warden.processes import Children
from supervisor.warden.supply.preload import Ahead, ahead_of, names_of
from supervisor.warden.supply.zygote_handle import Zygote

# Blank cells kept for a runtime that is not the default: enough to check and start a function at once.
BLANK_OF_OTHER_RUNTIMES = 1


class Stock:
    """Every zygote, by runtime and by what it has imported."""

    def __init__(
        self,
        runtimes: Sequence[Runtime],
        preload: Sequence[str],
        children: Children,
        on_change: Callable[[], None],
        bare_code: Path | None,
        huge_pages: bool,
    ) -> None:
        self._is_one = bare_code is not None
        self._preload: dict[str, tuple[str, ...]] = {}
        self._installed: dict[str, frozenset[str]] = {}
        self._take(runtimes, preload)
        self._zygotes = {
            (runtime.name, ahead): Zygote(
                runtime,
                names_of(ahead, self._preload[runtime.name]),
                children,
                on_change,
                bare_code,
                huge_pages=huge_pages,
                known_as=ahead.value,
            )
            for runtime in runtimes
            for ahead in Ahead
        }

    @property
    def default(self) -> Kind:
        """Of the default runtime, which is the first."""
        return self.kind(next(iter(self._preload)), "none", ())

    def _take(self, runtimes: Sequence[Runtime], preload: Sequence[str]) -> None:
        # Libraries are imported ahead where they are installed: in the full environment.  A runtime that is
        # not among them any more goes on with what it has.
        self._preload |= {runtime.name: tuple(preload) if runtime.full else () for runtime in runtimes}
        self._installed |= {runtime.name: _modules_in(runtime.libraries) for runtime in runtimes}

    def kind(self, runtime: str, network: str, imports: Collection[str]) -> Kind:
        """The kind of cell for a function that imports these; KeyError for a runtime that is not here."""
        preload = self._preload[runtime]
        steps = self._steps(preload)
        asked = ahead_of(imports, preload, self._installed[runtime])
        return Kind(runtime, network, asked if asked in steps else steps[-1])

    def has(self, runtime: str) -> bool:
        """Whether the runtime was here when the server started."""
        return runtime in self._preload

    def of(self, kind: Kind) -> Zygote:
        """The zygote that clones cells of this kind."""
        return self._zygotes[kind.runtime, kind.ahead]

    def _steps(self, preload: Sequence[str]) -> tuple[Ahead, ...]:
        every = tuple(Ahead) if preload else (Ahead.OWN, Ahead.COMMON)
        return every[-1:] if self._is_one else every

    def wanted(self, blank_cells: int) -> dict[Kind, int]:
        """How many blank cells to keep of each kind; the default runtime is the first."""
        wanted: dict[Kind, int] = {}
        for index, (runtime, preload) in enumerate(self._preload.items()):
            number = blank_cells if index == 0 else min(blank_cells, BLANK_OF_OTHER_RUNTIMES)
            steps = self._steps(preload)
            wanted |= {Kind(runtime, "none", ahead): number if ahead in steps else 0 for ahead in Ahead}
        return wanted

    def start_all(self) -> None:
        """Start those that somebody may need and that are not there yet."""
        for kind in self._used():
            self.of(kind).start()

    def _used(self) -> list[Kind]:
        return [kind for kind, number in self.wanted(1).items() if number]

    def load(self, runtimes: Sequence[Runtime], preload: Sequence[str]) -> list[str]:
        """Other libraries, or runtimes installed anew, from now on; the replaced zygotes' names."""
        known = {runtime.name: runtime for runtime in runtimes if self.has(runtime.name)}
        before = set(self._used())
        self._take(list(known.values()), preload)
        used = self._used()
        for kind in before - set(used):
            self.of(kind).rest()
        replaced = []
        for kind in used:
            zygote, runtime = self.of(kind), known.get(kind.runtime)
            if runtime and zygote.load(runtime, names_of(kind.ahead, self._preload[kind.runtime])):
                replaced.append(zygote.name)
        self.start_all()
        return replaced

    def renew(self) -> list[str]:
        """Replace each zygote that runs, while calls go on; the runtimes' names."""
        running = [(runtime, zygote) for (runtime, _), zygote in self._zygotes.items() if zygote.pids]
        for _, zygote in running:
            zygote.renew()
        return list(dict.fromkeys(runtime for runtime, _ in running))

    def stop(self) -> None:
        """End every zygote, and start no other."""
        for zygote in self._zygotes.values():
            zygote.stop()

    @property
    def pids(self) -> list[int]:
        """Pids of the zygotes that are alive."""
        return [pid for zygote in self._zygotes.values() for pid in zygote.pids]


def _modules_in(libraries: Path) -> frozenset[str]:
    """The names that are installed there; none where it is gone, which its zygote says."""
    try:
        return frozenset(entry.partition(".")[0] for entry in os.listdir(libraries))
    except OSError:
        return frozenset()
