"""Carries out what the API asks of the pools and the warden."""

from __future__ import annotations

from supervisor.front.api_control import DEFAULT_TEMPLATE, BundleCheck, ChangeKind, Standing
from supervisor.front.functions.directory import Directory
from supervisor.front.outcome.lost_calls import StartFailed, StartLate
from supervisor.front.pool.cell.init_frame import init_frame
from supervisor.front.pool.cell.instance_identity import InstanceIdentity
from supervisor.front.pool.instance import Instance
from supervisor.front.pool.lease_request import lease_request
from supervisor.front.telemetry.survey import Survey, merged
from supervisor.front.warden_link import WardenLink
from supervisor.function_limits import Limits
from worker import wire

# Compiling the largest honest handler takes milliseconds; a bundle that takes longer is refused.
CHECK_SECONDS = 5.0


class WardenControl:
    """One per front worker; implements ``supervisor.front.api_control.ApiControl``."""

    def __init__(self, directory: Directory, warden: WardenLink, runtimes: tuple[str, ...]) -> None:
        self._directory = directory
        self._warden = warden
        self._runtimes = runtimes

    def runtimes(self) -> tuple[str, ...]:
        """The installed runtimes, the default first."""
        return self._runtimes

    def runtime_of(self, template: str) -> str:
        """The runtime that a template names."""
        return self._runtimes[0] if template == DEFAULT_TEMPLATE else template

    async def check_bundle(self, template: str, digest: str) -> BundleCheck:
        """Compile the bundle in a cell of its own, which runs no call before or after.  LeaseRefused."""
        limits = Limits()
        whose = ("-", "-", 0)
        request = lease_request(*whose, digest, self.runtime_of(template), limits, mode="check")
        lease = await self._warden.lease(request)
        instance = Instance(
            lease,
            self._warden,
            InstanceIdentity("-", "check", 0, 0, 0, 0, False),
            lambda *_: None,
            lambda *_: None,
        )
        self._directory.instances.adopt(instance)
        init = init_frame("check", whose, env={}, secrets={}, variables={})
        try:
            frame = await instance.start(init, CHECK_SECONDS)
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
        """Announce that a function was deployed or deleted: here first, then to every other front."""
        self._directory.changed(space, name)
        await self._warden.changed("function", space, name)

    async def function_deleted(self, space: str, name: str) -> None:
        """Announce it, and delete the function's log in this front; other fronts do so themselves."""
        await self.function_changed(space, name)
        await self._directory.forget_logs(space, name)

    async def values_changed(self, space: str) -> None:
        """Announce that secrets or variables changed, in the same way."""
        self._directory.values_changed(space)
        await self._warden.changed("values", space)

    async def changed(self, what: ChangeKind, space: str) -> None:
        """Announce a change of another kind, in the same way."""
        if handler := self._warden.on_changed.get(what):
            handler(space, "")
        await self._warden.changed(what, space)

    async def standing(self, space: str, name: str, version: int) -> Standing:
        """As the warden has counted it: instances of a version that was never ready answer nothing yet."""
        found = await self._warden.count(space, name, version)
        available = found.replicas if found.ready_version else 0
        return Standing(
            found.replicas, available, found.failed_version, found.failed_reason, found.ready_version
        )

    async def survey(self, space: str) -> Survey:
        """What goes on in all fronts; fronts that do not answer in time are counted as missing."""
        last, pages = await self._warden.survey(space)
        survey = merged(pages)
        if space:  # it must not show other spaces' cells
            survey.cells.clear()
        survey.fronts, survey.missing, survey.left_out = last.fronts, last.missing, last.left_out
        return survey

    async def renew_zygotes(self) -> list[str]:
        """Have the warden replace the zygotes; calls go on meanwhile."""
        return await self._warden.renew()
