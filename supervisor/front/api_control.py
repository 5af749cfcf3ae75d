"""What the API asks of the pools and the warden, as a protocol, so that it imports neither.

``supervisor.front.warden_control`` implements it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from supervisor.front.telemetry.survey import Survey

DEFAULT_TEMPLATE = "python3-http"  # a function's ``template`` that stands for the server's default runtime

# What fronts remember besides functions and values (``link_records.ChangeKind``).
ChangeKind = Literal["space", "deleted", "credentials", "quotas"]
Status = Literal["Pending", "Building", "Running", "Failed"]


@dataclass(frozen=True)
class BundleCheck:
    """What a throw-away cell of the wanted runtime says of a bundle that it compiled and did not run.

    ``message`` and ``line`` (in handler.py, from 1) say what is wrong if ``ok`` is false.
    """

    ok: bool
    message: str = ""
    line: int | None = None
    entry: str | None = None


@dataclass(frozen=True)
class Standing:
    """A function just now: its instances over all fronts, and those of them that answer.

    The last start of ``failed_version`` failed for ``reason``, that of ``ready_version`` succeeded; 0 for
    none.
    """

    replicas: int = 0
    available_replicas: int = 0
    failed_version: int = 0
    reason: str = ""
    ready_version: int = 0

    def status_of(self, version: int, min_instances: int) -> tuple[Status, str | None]:
        """The status of a function whose active version is ``version``, and the reason for it."""
        if self.failed_version == version:
            return "Failed", self.reason
        if self.ready_version == version:
            return "Running", None
        if self.replicas:
            return "Building", f"its first {self.replicas} instances start"
        if min_instances:
            return "Pending", f"none of the {min_instances} instances that min_instances keeps has started"
        return "Running", None  # nobody has called it yet; the deploy has compiled it


class ApiControl(Protocol):
    """The API's requests to the pools and the warden."""

    async def check_bundle(self, template: str, digest: str) -> BundleCheck:
        """Compile a stored bundle in a cell of that runtime; PlatformError 503 if there is no cell for it."""
        ...

    async def function_changed(self, space: str, name: str) -> None:
        """Return once no front answers a new call with the previous version."""
        ...

    async def function_deleted(self, space: str, name: str) -> None:
        """The same for a function that was deleted; its log is deleted then, too."""
        ...

    async def values_changed(self, space: str) -> None:
        """Return once every front will hand the space's new secrets and variables to the next call."""
        ...

    async def changed(self, what: ChangeKind, space: str) -> None:
        """Return once every front has forgotten what it knew of this kind of the space."""
        ...

    async def standing(self, space: str, name: str) -> Standing:
        """The instances of a function over all fronts, and its last failed start."""
        ...

    async def survey(self, space: str) -> Survey:
        """What goes on in all fronts now, in one space or ("") in all."""
        ...

    async def renew_zygotes(self) -> list[str]:
        """Have the zygotes replaced while calls go on; returns the names of their runtimes."""
        ...

    def runtimes(self) -> tuple[str, ...]:
        """Names of the runtimes that functions can use, such as ``python3.11``; the default first."""
        ...
