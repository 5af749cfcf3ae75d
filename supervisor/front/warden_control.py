"""``Control`` for the API: what it asks of the pools and the warden, carried out."""

from __future__ import annotations

import json

from supervisor.errors import PlatformError
from supervisor.front.api_control import BundleCheck, Standing
from supervisor.front.functions.directory import Directory
from supervisor.front.outcome.lost_calls import StartFailed, StartLate
from supervisor.front.pool.cell.instance_identity import Identity
from supervisor.front.pool.instance import Instance
from supervisor.front.pool.lease_request import lease_request
from supervisor.front.telemetry.survey import Survey, merged
from supervisor.front.warden_link import LeaseRefused, WardenLink
from supervisor.function_limits import Limits
from worker import wire

# Compiling the largest honest handler takes milliseconds; a bundle that takes longer is refused.
CHECK_SECONDS = 5.0
DEFAULT_TEMPLATE = "python3-http"


class WardenControl:
    """One per front worker; implements ``supervisor.front.api_control.Control``."""

    def __init__(self, directory: Directory, warden: WardenLink, runtimes: tuple[str, ...]) -> None:
        self._directory = directory
        self._warden = warden
        self._runtimes = runtimes

    def runtimes(self) -> tuple[str, ...]:
        """The installed runtimes, the default first."""
        return self._runtimes

    def runtime_of(self, template: str) -> str:
        """The runtime that a template stands for."""
        return self._runtimes[0] if template == DEFAULT_TEMPLATE else template

    async def check_bundle(self, template: str, digest: str) -> BundleCheck:
        """Compile the bundle in a cell of its own, which has never run and never will run a call."""
        limits = Limits()
        request = lease_request("-", "-", 0, digest, self.runtime_of(template), limits, mode="check")
        try:
            lease = await self._warden.lease(request)
        except LeaseRefused as refused:
            raise PlatformError(
                503,
                f"the bundle cannot be checked: {refused.message}; try again",
                headers={"Retry-After": "2"},
            ) from None
        instance = Instance(
            lease, self._warden, Identity("-", "check", 0, 0, 0, 0, False), lambda *_: None, lambda *_: None
        )
        self._directory.adopt(instance)
        body = json.dumps({"env": {}, "secrets": {}, "variables": {}, "text_content_type": ""}).encode()
        head = (wire.WIRE_VERSION, "check", "-", "-", 0, 0, 0)
        try:
            frame = await instance.start(wire.encode(wire.INIT, 0, head, (), len(body)) + body, CHECK_SECONDS)
        except StartLate:
            return BundleCheck(
                False, f"handler.py took more than {CHECK_SECONDS:g} s to compile; make it smaller"
            )
        except StartFailed as failed:
            if failed.ending is not None and (ours := failed.ending.platform_error()) is not None:
                raise ours from None
            return BundleCheck(
                False, "handler.py cannot be compiled within the limits of a cell; make it smaller"
            )
        finally:
            instance.kill("released")
        if frame.kind != wire.CHECKED:
            return BundleCheck(False, "handler.py cannot be checked")
        is_ok, message, line, entry = frame.head
        return BundleCheck(bool(is_ok), message, line or None, entry or None)

    async def function_changed(self, space: str, name: str) -> None:
        """Here first, then everywhere else."""
        self._directory.changed(space, name)
        await self._warden.changed(space, name)

    async def function_deleted(self, space: str, name: str) -> None:
        """Each front finds out for itself that it is gone; ours is done with its logs before we return."""
        await self.function_changed(space, name)
        await self._directory.forget_logs(space, name)

    async def values_changed(self, space: str) -> None:
        """Here first, then everywhere else."""
        self._directory.changed(space, "")
        await self._warden.changed(space, "")

    async def standing(self, space: str, name: str) -> Standing:
        """Instances that exist, and those of them that answer: the same once they are counted."""
        replicas, version, reason = await self._warden.count(space, name)
        return Standing(replicas, replicas, version, reason)

    async def survey(self, space: str) -> Survey:
        """What goes on in all fronts; some may not answer in time, and are counted."""
        last, pages = await self._warden.survey(space)
        survey = merged(pages)
        if space:  # whose the other cells are is nobody's business in it
            survey.cells.clear()
        survey.fronts, survey.missing, survey.left_out = last.fronts, last.missing, last.left_out
        return survey

    async def renew_zygotes(self) -> list[str]:
        """By the warden; calls go on meanwhile."""
        return await self._warden.renew()
