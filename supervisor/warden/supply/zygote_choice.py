"""Which zygotes there are, and which of them a function's cells come from.

A runtime has one zygote for each ImportProfile of ``supervisor.warden.supply.preload``; the one with
libraries only if it has libraries to preload.  Without namespaces a runtime has a single zygote, with all
imports, to have few blank cells: there the kernel counts all processes of a user against the limit of each
cell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from supervisor.runtimes import Runtime
from supervisor.warden.cells.confinement import CellKind
from supervisor.warden.processes import Children
from supervisor.warden.supply.preload import ImportProfile, preloaded_names, profile_of
from supervisor.warden.supply.zygote_handle import Zygote

# Blank cells of a runtime that is not the default: one is enough to check or start a function at once.
BLANK_OF_OTHER_RUNTIMES = 1


class ZygoteChoice:
    """All zygotes, by runtime and import profile."""

    def __init__(
        self,
        runtimes: Sequence[Runtime],
        preload: Sequence[str],
        children: Children,
        on_change: Callable[[], None],
        bare_code: Path | None,
        huge_pages: bool,
    ) -> None:
        self._has_single_zygote = bare_code is not None
        self._preload: dict[str, tuple[str, ...]] = {}
        self._installed: dict[str, frozenset[str]] = {}
        self._set_runtimes(runtimes, preload)
        self._zygotes = {
            (runtime.name, profile): Zygote(
                runtime,
                preloaded_names(profile, self._preload[runtime.name]),
                children,
                on_change,
                bare_code,
                huge_pages=huge_pages,
                known_as=profile.value,
            )
            for runtime in runtimes
            for profile in ImportProfile
        }

    @property
    def default(self) -> CellKind:
        """The kind of the simplest functions: the default runtime, no network, no imports."""
        return self.kind(next(iter(self._preload)), "none", ())

    def _set_runtimes(self, runtimes: Sequence[Runtime], preload: Sequence[str]) -> None:
        # Libraries are preloaded where they are installed: in full environments.  A runtime that is no longer
        # among these keeps what it has.
        self._preload |= {runtime.name: tuple(preload) if runtime.full else () for runtime in runtimes}
        self._installed |= {runtime.name: _modules_in(runtime.libraries) for runtime in runtimes}

    def kind(self, runtime: str, network: str, imports: Collection[str]) -> CellKind:
        """The kind of cell for a function with these imports.  Raises KeyError for an unknown runtime."""
        preload = self._preload[runtime]
        profiles = self._profiles(preload)
        asked = profile_of(imports, preload, self._installed[runtime])
        return CellKind(runtime, network, asked if asked in profiles else profiles[-1])

    def has(self, runtime: str) -> bool:
        """Whether the runtime was installed when the server started."""
        return runtime in self._preload

    def of(self, kind: CellKind) -> Zygote:
        """The zygote that clones cells of this kind."""
        return self._zygotes[kind.runtime, kind.profile]

    def _profiles(self, preload: Sequence[str]) -> tuple[ImportProfile, ...]:
        every = tuple(ImportProfile) if preload else (ImportProfile.OWN, ImportProfile.COMMON)
        return every[-1:] if self._has_single_zygote else every

    def wanted(self, blank_cells: int) -> dict[CellKind, int]:
        """Kind → how many blank cells to keep.  The first runtime is the default one."""
        wanted: dict[CellKind, int] = {}
        for index, (runtime, preload) in enumerate(self._preload.items()):
            number = blank_cells if index == 0 else min(blank_cells, BLANK_OF_OTHER_RUNTIMES)
            profiles = self._profiles(preload)
            wanted |= {
                CellKind(runtime, "none", profile): number if profile in profiles else 0
                for profile in ImportProfile
            }
        return wanted

    def start_all(self) -> None:
        """Start every zygote that is used and does not run yet."""
        for kind in self._used():
            self.of(kind).start()

    def _used(self) -> list[CellKind]:
        return [kind for kind, number in self.wanted(1).items() if number]

    def load(self, runtimes: Sequence[Runtime], preload: Sequence[str]) -> list[str]:
        """Use these runtimes and preloaded libraries from now on.

        Returns the names of the zygotes replaced for it.
        """
        known = {runtime.name: runtime for runtime in runtimes if self.has(runtime.name)}
        before = set(self._used())
        self._set_runtimes(list(known.values()), preload)
        used = self._used()
        for kind in before - set(used):
            self.of(kind).rest()
        replaced = []
        for kind in used:
            zygote, runtime = self.of(kind), known.get(kind.runtime)
            if runtime and zygote.load(runtime, preloaded_names(kind.profile, self._preload[kind.runtime])):
                replaced.append(zygote.name)
        self.start_all()
        return replaced

    def renew(self) -> list[str]:
        """Replace each running zygote while calls go on.  Returns their runtimes' names."""
        running = [(runtime, zygote) for (runtime, _), zygote in self._zygotes.items() if zygote.pids]
        for _, zygote in running:
            zygote.renew()
        return list(dict.fromkeys(runtime for runtime, _ in running))

    def stop(self) -> None:
        """End all zygotes for good."""
        for zygote in self._zygotes.values():
            zygote.stop()

    @property
    def pids(self) -> list[int]:
        """The pids of all running zygotes."""
        return [pid for zygote in self._zygotes.values() for pid in zygote.pids]


def _modules_in(libraries: Path) -> frozenset[str]:
    """The modules in a folder of libraries; none if it is gone, which its zygote reports."""
    try:
        return frozenset(entry.partition(".")[0] for entry in os.listdir(libraries))
    except OSError:
        return frozenset()
