"""What the API needs of the rest of the front, as a protocol: no import of the warden's side.

``supervisor.front.warden_link`` is the implementation; it talks to the warden over a socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from supervisor.front.telemetry.survey import Survey


@dataclass(frozen=True)
class BundleCheck:
    """What a throw-away cell of the wanted runtime says of a bundle it compiled (never ran).

    ``message`` and ``line`` (1-based, in handler.py) say what is wrong when ``ok`` is false.
    """

    ok: bool
    message: str = ""
    line: int | None = None
    entry: str | None = None


@dataclass(frozen=True)
class Standing:
    """A function just now: its instances over all fronts, and those of them that answer.

    ``failed_version``'s last start failed for ``reason``; 0 where no start did.
    """

    replicas: int = 0
    available_replicas: int = 0
    failed_version: int = 0
    reason: str = ""


class Control(Protocol):
    """Requests of the API to the pools and the warden."""

    async def check_bundle(self, template: str, digest: str) -> BundleCheck:
        """Compile a stored bundle in a cell of that runtime; PlatformError 503 when none can be had."""
        ...

    async def function_changed(self, space: str, name: str) -> None:
        """Return once no front answers a new call with the previous version."""
        ...

    async def function_deleted(self, space: str, name: str) -> None:
        """The same of a function that is gone; what it has logged is gone then, too."""
        ...

    async def values_changed(self, space: str) -> None:
        """Return once every front will hand the space's new secrets and variables to the next call."""
        ...

    async def standing(self, space: str, name: str) -> Standing:
        """How a function stands, over all fronts."""
        ...

    async def survey(self, space: str) -> Survey:
        """What goes on in all fronts now, of one space or with "" of all."""
        ...

    async def renew_zygotes(self) -> list[str]:
        """Have the zygotes replaced while calls go on; the names of their runtimes."""
        ...

    def runtimes(self) -> tuple[str, ...]:
        """Names of the runtimes that functions can use, such as ``python3.11``; the default first."""
        ...
