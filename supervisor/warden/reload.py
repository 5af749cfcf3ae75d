"""SIGHUP: reads the settings again and applies those that may change in a running server.

If the new settings are invalid, nothing changes and the log says why.  Running fronts hear of the change over
their links and keep their calls; new fronts get the settings when they join.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from supervisor.errors import ConfigurationError
from supervisor.link_messages import RenewRequest, RenewStarted, SettingsTold
from supervisor.runtimes import Runtime, load_runtimes
from supervisor.settings import front_settings, reloading
from supervisor.settings.declarations import Settings
from supervisor.warden.admin_token import TokenRounds
from supervisor.warden.leases.desk import Desk
from supervisor.warden.leases.front_sessions import Session
from supervisor.warden.supply.registry import Registry

log = logging.getLogger("cellblock.warden")


class SettingsReload:
    """Holds the settings in force and replaces them on SIGHUP."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        desk: Desk,
        registry: Registry,
        tokens: TokenRounds,
        *,
        within_the_host: Callable[[Settings], Settings],
        raise_limit: Callable[[int], None],
        on_change: Callable[[Settings, tuple[Runtime, ...]], None],
    ) -> None:
        """``raise_limit(cells)`` raises the descriptor limit, or ConfigurationError if the host refuses.

        ``on_change(settings, runtimes)`` runs before the desk and the registry act on the new settings.
        """
        self._settings = settings
        self._read = read
        self._desk = desk
        self._registry = registry
        self._tokens = tokens
        self._within_the_host = within_the_host
        self._raise_limit = raise_limit
        self._on_change = on_change
        desk.handlers[RenewRequest] = self._renew
        desk.publish(self._message())

    def reload(self) -> None:
        """Read everything again.  Invalid settings are logged, never raised, and leave no old token valid."""
        self._apply()
        self._tokens.read(self._settings)

    def _apply(self) -> None:
        try:
            change = reloading.between(self._settings, self._read())
            settings = self._within_the_host(change.settings)
            runtimes = load_runtimes(settings.runtimes_dir, settings.default_runtime)
            self._raise_limit(settings.max_cells)
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
        self._desk.publish(self._message())
        self._registry.retune(runtimes, settings)
        log.info("settings were read again; changed: %s", ", ".join(change.changed) or "none")

    def _message(self) -> SettingsTold:
        return SettingsTold(front_settings.for_running_fronts(self._within_the_host(self._settings)))

    def _renew(self, session: Session, request: RenewRequest, _: list[int]) -> None:
        """An administrator asked a front for new zygotes."""
        session.tell(RenewStarted(request.ticket, self._registry.renew_zygotes()))
