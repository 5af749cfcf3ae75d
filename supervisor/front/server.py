"""gunicorn with our application: the program that ``warden.launch.front_standby`` imports and then runs.

By then the launcher's steps have given this process its root, its user and its death signal.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from supervisor import datagrams, server_log
from supervisor.errors import ConfigurationError
from supervisor.front.app import Application, FrontConfig
from supervisor.front.http import process_confinement
from supervisor.front.http.worker import FrontWorker
from supervisor.front.quotas import spent_before
from supervisor.front.quotas.counter_page import CounterSlots
from supervisor.front_start import UNUSABLE, FrontStart
from supervisor.join_messages import CONTROL, Join
from supervisor.store import migrate
from supervisor.store.lookups import holds_values
from supervisor.store.ring.key_file import KEY_NAME, load_or_create_key

log = logging.getLogger("cellblock.front")

# gunicorn kills a worker whose event loop does not turn for this long.
HEARTBEAT_SECONDS = 30
# The workers drain by the setting in force, and the warden ends a drain that takes too long.  So the master's
# own limit is the highest that the setting can have.
GRACEFUL_SECONDS = 3600


class JsonLog(Logger):  # type: ignore[misc]
    """gunicorn's own log, as one JSON object a line."""

    def setup(self, cfg: Any) -> None:
        """Set gunicorn's log up, then give it the server's format."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(server_log.JsonFormatter())


class FrontServer(BaseApplication):  # type: ignore[misc]
    """gunicorn with all of its configuration."""

    def __init__(self, config: FrontConfig) -> None:
        self._config = config
        self._application = Application(config)
        # Before the first fork, so that every front has the same page.
        self._slots = CounterSlots(config.settings.workers)
        spent_before.remember(self._slots, config.store_url)
        super().__init__()

    def load_config(self) -> None:
        """Every setting of gunicorn that is not its default."""
        settings = self._config.settings
        for name, value in {
            "bind": [f"fd://{self._config.listen_fd}"],
            "workers": settings.workers,
            "worker_class": FrontWorker,
            "preload_app": True,
            "timeout": HEARTBEAT_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            # gunicorn's default is the user that imported it (supervisor.warden.launch.front_standby).
            "user": os.geteuid(),
            "group": os.getegid(),
            "worker_tmp_dir": "/tmp",  # noqa: S108 - the front's own
            "control_socket_disable": True,
            "loglevel": "warning",
            **({"logger_class": JsonLog} if settings.log_format == "json" else {}),
            "proc_name": "cellblock-front",
            "pre_fork": self._pre_fork,
            "post_fork": self._post_fork,
            "child_exit": self._child_exit,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """The application; made before the fork, started after it."""
        return self._application

    def _pre_fork(self, arbiter: Any, worker: Any) -> None:
        """Give a worker that is about to be forked its slot of the counters."""
        worker.counter_slot = self._slots.take()

    def _child_exit(self, arbiter: Any, worker: Any) -> None:
        """Take it back: the calls that a dead front ran run no more."""
        self._slots.give_back(worker.counter_slot)

    def _post_fork(self, arbiter: Any, worker: Any) -> None:
        """Die with the master, and bring the warden a link of this worker's own."""
        process_confinement.die_with_parent()
        ours, theirs = datagrams.pair()
        # The worker closes its copy: an attacker in one worker could shut the socket that all join by.
        control = socket.socket(fileno=self._config.control_fd)
        with control, theirs:
            datagrams.send(control, CONTROL.encode(Join(os.getpid())), [theirs.fileno()])
        self._application.warden_socket = ours
        if worker.counter_slot is None:
            log.error("there are more fronts than counters: this one's calls count for no other front")
        else:
            self._application.counters = (self._slots.page, worker.counter_slot)


def main(start: FrontStart, descriptors: Sequence[int]) -> None:
    """Confine this process, migrate the store, then serve.

    ``supervisor.warden.fronts`` gives ``start`` and the descriptors of the link to it and of the listener.
    """
    process_confinement.confine()
    process_confinement.keep_bodies_apart()
    config = FrontConfig.of(start, *descriptors)
    server_log.configure(config.settings.log_level, config.settings.log_format)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        _open_store(config)
    except ConfigurationError as error:
        log.critical("%s", error)
        sys.exit(UNUSABLE)
    FrontServer(config).run()


def _open_store(config: FrontConfig) -> None:
    """Migrate the store and find its key.  ConfigurationError."""
    migrate(config.store_url, config.settings.front_dir / "bundles")
    key = config.settings.front_dir / KEY_NAME
    if not key.exists() and holds_values(config.store_url):
        # A key that is made now would be another one, and could be taken for the one that is missing.
        raise ConfigurationError(
            f"cannot open the store: its secrets and variables need their sealing key; put it at {key}"
        )
    load_or_create_key(key)  # once, before the workers race for it
