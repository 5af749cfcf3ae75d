"""Pure decisions, with whatever values come to mind: none of them fails by the clock of a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("without-a-clock", deadline=None)
settings.load_profile("without-a-clock")
