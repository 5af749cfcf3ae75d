"""SIGHUP: reads the settings again, and changes what may change in a running server.

Settings that cannot be used change nothing, and the log says why.  The fronts are told over their links and
go on with the calls that they have; new fronts are told as they join.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from supervisor.errors import ConfigurationError
from supervisor.link_messages import RenewRequest, RenewStarted, SettingsTold
from supervisor.runtimes import Runtime, load_runtimes
from supervisor.settings import reloading
from supervisor.settings.declarations import Settings
from supervisor.warden.leases.desk import Desk
from supervisor.warden.leases.front_sessions import Session
from supervisor.warden.supply.registry import Registry

log = logging.getLogger("cellblock.warden")


class Tuning:
    """The settings in force; it alone changes them."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        desk: Desk,
        registry: Registry,
        *,
        within_the_host: Callable[[Settings], Settings],
        make_room: Callable[[int], None],
        on_change: Callable[[Settings, tuple[Runtime, ...]], None],
    ) -> None:
        """``make_room(cells)`` raises ConfigurationError where the host has no room for so many.

        ``on_change(settings, runtimes)`` is called before anybody else acts on them.
        """
        self._settings = settings
        self._read = read
        self._desk = desk
        self._registry = registry
        self._within_the_host = within_the_host
        self._make_room = make_room
        self._on_change = on_change
        desk.handlers[RenewRequest] = self._renew
        desk.publish(self._told())

    def reload(self) -> None:
        """Read everything again; never raises for what an operator wrote."""
        try:
            change = reloading.between(self._settings, self._read())
            settings = self._within_the_host(change.settings)
            runtimes = load_runtimes(settings.runtimes_dir, settings.default_runtime)
            self._make_room(settings.max_cells)
        except (ConfigurationError, OSError) as error:
            log.error("SIGHUP changed nothing: %s", error)
            return
        for name in change.deferred:
            log.warning("setting %s stays as it is until the server is restarted", name)
        self._settings = change.settings
        self._on_change(settings, runtimes)
        logging.getLogger().setLevel(settings.log_level.upper())
        self._desk.wait_seconds = settings.queue_seconds
        self._desk.ceilings = settings.all_ceilings
        self._desk.publish(self._told())
        self._registry.retune(runtimes, settings)
        log.info("settings were read again; changed: %s", ", ".join(change.changed) or "none")

    def _told(self) -> SettingsTold:
        return SettingsTold(reloading.for_fronts(self._within_the_host(self._settings)))

    def _renew(self, session: Session, request: RenewRequest, _: list[int]) -> None:
        """A front's administrator wants new zygotes."""
        session.tell(RenewStarted(request.ticket, self._registry.renew_zygotes()))
