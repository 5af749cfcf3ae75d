"""docs/attacks.md: what the attack suite saw, case by tier, written by the suite itself.

``CELLBLOCK_TEST_WRITE_MATRIX=1 pytest tests/escape/test_attacks.py`` writes the page; every other run of the
whole file compares what it saw with it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.escape.attack import Attack

PAGE = Path(__file__).parents[2] / "docs/attacks.md"
# What follows such a heading is another suite's, which compares it.
OTHERS = "\n## "
VARIABLE = "CELLBLOCK_TEST_WRITE_MATRIX"
TIERS = ("A", "A-user")
HEAD = """# Attacks

What tenants try, and that it was stopped: written by the attack suite (`tests/escape/test_attacks.py`)
from what it saw, and compared by every later run of it. Each case is a hostile function, deployed over
HTTP and called. *stopped* means: the call that must fail failed with its layer's own error, every canary
of the host was untouched, nobody was connected to, and no token came out.

*Layers* are those each of which stops the case alone: it was tried once for each, with the others taken
away. *Control* is the same code in cells without any of them: it *succeeds* there, or the case proves
nothing; where no control can be had on a test machine, the note says why. The layers' names are those of
`tests/support/weakened.py`: `sec` seccomp, `ll` Landlock, `cap` empty capability sets, `nnp`
`no_new_privs`, `knob` no nested namespaces, `mnt` `pid` `net` `ipc` namespaces, `proc` `/proc` of
processes only, `ro` read-only mounts, `tmp` sized tmpfs, `rl` rlimits, `fd` closed descriptors, `memfd`
`memfd_noexec`, `dev` device nodes of the cell's own, `ovl` the code as a file system of its own.

Numbers are the catalogue's; a number may have several cases. Resources (56 to 63), protocol (76 to 89)
and life cycle (90 to 98) have test files of their own beside it.
"""


class Matrix:
    """Results of one run."""

    def __init__(self) -> None:
        self._stopped: set[tuple[str, str]] = set()
        self._alone: dict[str, set[str]] = {}
        self._controls: set[str] = set()

    def stopped(self, attack: Attack, tier: str) -> None:
        """It was tried in a complete cell of that tier, and stopped."""
        self._stopped.add((attack.id, tier))

    def stopped_by(self, attack: Attack, layer: str) -> None:
        """It was stopped by one layer alone."""
        self._alone.setdefault(attack.id, set()).add(layer)

    def succeeded(self, attack: Attack) -> None:
        """Its control did what it tries."""
        self._controls.add(attack.id)

    def page(self, attacks: Sequence[Attack]) -> str:
        """The whole page."""
        lines = [HEAD, "| # | case | A | A-user | layers | control |", "|---|---|---|---|---|---|"]
        for attack in attacks:
            tiers = [
                "-" if tier not in attack.tiers else "stopped" if (attack.id, tier) in self._stopped else "?"
                for tier in TIERS
            ]
            alone = self._alone.get(attack.id, set())
            # One layer and nothing else taken away: the complete cell is the trial of that layer alone.
            layers = [
                f"`{layer}`"
                if layer in alone or (len(attack.layers) == 1 and not attack.also_without)
                else "?"
                for layer in attack.layers
            ]
            control = "succeeds" if attack.id in self._controls else attack.no_control or "?"
            row = (str(attack.number), attack.name, *tiers, " ".join(layers) or "-", control)
            lines.append(f"| {' | '.join(row)} |")
        return "\n".join(lines) + "\n"

    def is_complete(self, attacks: Sequence[Attack]) -> bool:
        """Whether this run tried every case in every tier, and every control."""
        cases = {(attack.id, tier) for attack in attacks for tier in attack.tiers}
        controls = {attack.id for attack in attacks if not attack.no_control}
        return cases <= self._stopped and controls <= self._controls

    def settle(self, attacks: Sequence[Attack]) -> None:
        """After a complete run: write the page, or see that it says the same."""
        if not self.is_complete(attacks):
            return
        ours, _, others = PAGE.read_text(encoding="utf-8").partition(OTHERS)
        if os.environ.get(VARIABLE) == "1":
            ours = self.page(attacks)
            PAGE.write_text(f"{ours}{OTHERS}{others}", encoding="utf-8")
        assert ours == self.page(attacks), f"docs/attacks.md is old: {VARIABLE}=1"
