"""One attack of the catalogue: what a tenant does, which layers stop it, and how it looks without them.

``code`` runs in the hostile function (``hostile.SOURCE``) and leaves ``found``.  In a complete cell found
must be one of ``stopped``.  ``layers`` are the names, in ``tests.support.weakened``, of the layers each of
which alone stops it: the attack is tried once for each, with the others of the list taken away.  With all
of them taken away found must be one of ``succeeds``: without a control an attack proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Both give a cell all namespaces; what differs is whose user ids they are.
NAMESPACED = ("A", "A-user")


@dataclass(frozen=True)
class Attack:
    """``number`` is the catalogue's; ``name`` says what is tried, for people."""

    number: int
    name: str
    code: str
    stopped: tuple[Any, ...]
    layers: tuple[str, ...]
    succeeds: tuple[Any, ...]
    # Taken away in the control besides ``layers``: what would hide whether the layer works.
    also_without: tuple[str, ...] = ()
    # With one layer left, if another answer is right than in the complete cell.
    stopped_by_one: tuple[Any, ...] = ()
    # Connections that the control makes to the canaries' listeners, by listener.
    connects: str = ""
    # The control shows the canary's token.
    leaks: bool = False
    tiers: tuple[str, ...] = NAMESPACED
    options: Mapping[str, Any] = field(default_factory=dict)
    # Why there is no control here: it runs in a virtual machine only, or the catalogue has none.
    no_control: str = ""

    @property
    def id(self) -> str:
        """Of the test."""
        return f"{self.number:03d}-{self.name.replace(' ', '-')}"

    @property
    def without(self) -> frozenset[str]:
        """The layers that the control lacks."""
        return frozenset((*self.layers, *self.also_without))

    def alone(self, layer: str) -> frozenset[str]:
        """What is taken away to see ``layer`` stop it by itself."""
        return self.without - {layer}
