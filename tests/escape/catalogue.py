"""All attacks, in the catalogue's order."""

from __future__ import annotations

from tests.escape.attack import Attack
from tests.escape.attacks import between, files, filter, identity, kernel

ATTACKS: list[Attack] = sorted(
    [*files.ATTACKS, *kernel.ATTACKS, *identity.ATTACKS, *filter.ATTACKS, *between.ATTACKS],
    key=lambda attack: attack.number,
)
