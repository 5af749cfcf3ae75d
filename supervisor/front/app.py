"""The front's application: invocations to the gateway, everything else to the API.

Every answer, whoever gives it, carries ``X-Call-Id``, ``X-Duration-Seconds`` and ``Server-Timing``.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from supervisor.bundles.bundle_store import BundleStore
from supervisor.front import health
from supervisor.front.following.answer_tail import ASKED, LogTail
from supervisor.front.following.subscriptions import Tails
from supervisor.front.functions.directory import Directory
from supervisor.front.http.exchange import Exchange
from supervisor.front.invoke import cors, origins, request
from supervisor.front.invoke.credential import Credentials
from supervisor.front.invoke.gateway import Gateway
from supervisor.front.invoke.timing import Timing
from supervisor.front.lazy_api import LateApi
from supervisor.front.logs.log_deletion import LogKeeper
from supervisor.front.logs.recorder import Recorder
from supervisor.front.outcome import answers
from supervisor.front.outcome.reports import Reports
from supervisor.front.telemetry import forwarding
from supervisor.front.warden_control import WardenControl
from supervisor.front.warden_link import WardenLink
from supervisor.front_start import FrontStart
from supervisor.logs import Retention
from supervisor.settings import front_settings
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Lookups, Sealer, load_or_create_key, open_lookups

if TYPE_CHECKING:
    from supervisor.front.telemetry.otlp_exporter import Exporter

log = logging.getLogger("cellblock.front")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DATABASE_NAME = "cellblock.db"
KEY_NAME = "sealing.key"
# The warden tells them in answer to the link; this much later it is stuck, and calls need not wait for it.
TOLD_SECONDS = 5.0


@dataclass(frozen=True)
class FrontConfig:
    """What the warden hands to gunicorn, and gunicorn to each worker."""

    control_fd: int
    listen_fd: int
    settings: FrontSettings
    admin_token_sha256: bytes
    runtimes: tuple[str, ...]

    @classmethod
    def of(cls, start: FrontStart, control_fd: int, listen_fd: int) -> FrontConfig:
        """What the warden said, with the types of this process."""
        return cls(
            control_fd,
            listen_fd,
            front_settings.at_start(start.settings),
            bytes.fromhex(start.admin_token_sha256),
            tuple(start.runtimes),
        )

    @property
    def store_url(self) -> str:
        """The embedded store."""
        return f"sqlite:///{self.settings.front_dir / DATABASE_NAME}"


@dataclass
class _Parts:
    """What exists once the event loop runs."""

    warden: WardenLink
    credentials: Credentials
    directory: Directory
    gateway: Gateway
    recorder: Recorder
    log_keeper: LogKeeper
    tails: Tails
    log_tail: LogTail
    api: LateApi
    lookups: Lookups

    def close(self) -> None:
        """Close the store, however it was opened; blocks."""
        self.lookups.close()
        self.api.close()


class Application:
    """One per front worker; ``warden_socket`` is set after the fork."""

    def __init__(self, config: FrontConfig) -> None:
        self._config = config
        self.settings = config.settings  # as the warden last told them
        self._parts: _Parts | None = None
        self._reports: Reports | None = None
        self._exporter: Exporter | None = None
        self.warden_socket: socket.socket | None = None
        origins.serve(config.settings.functions_domain, config.settings.functions_reach)

    def invoke(self, exchange: Exchange) -> None:
        """A request to a function; it never gets as far as ASGI."""
        assert self._parts is not None, "a request before the start"
        if ASKED in exchange.headers:
            exchange.beside = self._parts.log_tail.beside(exchange)
        self._parts.gateway.begin(exchange)

    def drain(self) -> None:
        """The server ends: what would go on for ever is told so, what is being answered is not."""
        if self._parts is not None:
            self._parts.tails.drain()

    async def start(self) -> None:
        """On the loop that will run: everything but the connections."""
        self._parts = self._start()
        try:
            # This process may be a new one of an old server, whose settings are no longer those of its start.
            await asyncio.wait_for(self._parts.warden.is_told.wait(), TOLD_SECONDS)
        except TimeoutError:
            log.error("the warden did not tell its settings within %.0f s", TOLD_SECONDS)
        self._parts.directory.begin_to_keep()

    async def stop(self) -> None:
        """No request comes any more: write down what is not yet, close what is open."""
        assert self._parts is not None
        self._parts.gateway.report_ended()
        await self._parts.directory.finish()
        if self._reports is not None:
            self._reports.flush()
        await self._parts.recorder.close()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close)
        await asyncio.to_thread(self._parts.close)

    def _start(self) -> _Parts:
        """Link, table, gateway and API on the loop that runs now."""
        config, settings = self._config, self._config.settings
        assert self.warden_socket is not None, "no link to the warden"
        credentials = Credentials(config.admin_token_sha256)
        sealer = Sealer(load_or_create_key(settings.front_dir / KEY_NAME))
        lookups = open_lookups(config.store_url, sealer)
        warden = WardenLink(self.warden_socket, settings.queue_seconds, self._warden_lost)
        kept = _retention(settings)
        self._exporter = exporter = forwarding.exporter_of(settings)
        recorder = (
            forwarding.ExportedRecorder(settings.logs_dir, kept, exporter)
            if exporter
            else Recorder(settings.logs_dir, kept)
        )

        self._reports = reports = forwarding.ForwardedReports(settings, recorder.take_reports, exporter)
        bundles = BundleStore(
            settings.front_dir / "bundles", settings.bundle_max_bytes, settings.bundle_max_entries
        )
        directory = Directory(
            lookups, settings, warden, lambda template: control.runtime_of(template), bundles, recorder
        )
        tails = Tails(settings.logs_dir)
        directory.on_deleted = tails.deleted
        control = WardenControl(directory, warden, config.runtimes)
        api = LateApi(config.store_url, sealer, bundles, control, credentials, tails, lambda: self.settings)
        warden.on_settings = self._told
        parts = _Parts(
            warden,
            credentials,
            directory,
            Gateway(directory, credentials, reports),
            recorder,
            LogKeeper(settings.logs_dir, kept, lambda: _known(lookups)),
            tails,
            LogTail(recorder, credentials),
            api,
            lookups,
        )
        # What start-up made stays for good: without this each full collection walks all of it, tens of
        # milliseconds in which no call moves.
        gc.collect()
        gc.freeze()
        # A call makes a few dozen objects and drops them at once; the default would look for cycles
        # every ten calls.
        gc.set_threshold(10_000, 20, 20)
        return parts

    def _told(self, values: dict[str, Any]) -> None:
        """The warden's settings, at the start and whenever they change."""
        assert self._parts is not None
        settings = front_settings.again(self.settings, values)
        if settings == self.settings:
            return
        self.settings = settings
        logging.getLogger().setLevel(settings.log_level.upper())
        self._parts.warden.retune(settings.queue_seconds)
        self._parts.api.retune(settings)
        self._parts.directory.retune(settings)

    def leave(self) -> None:
        """The drain's time is up: who still waits is told so, whatever still runs is ended."""
        if self._parts is not None:
            self._parts.directory.leave()

    def _warden_lost(self) -> None:
        # Either the warden is dead, and this process is about to be, or it gave this front up as
        # stuck: gunicorn starts another one.
        log.error("the link to the warden closed: this front ends")
        os.kill(os.getpid(), signal.SIGTERM)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request to anything else, by ASGI."""
        assert self._parts is not None, "a request before the start"
        timing = Timing()
        call_id = request.call_id_of(scope["headers"])
        asked = origins.recognise(scope["raw_path"], scope["headers"])
        answer = option = None
        if asked is not None and scope["method"] == "HEAD":
            answer = answers.refused(request.not_a_method("HEAD"))
            option = await self._parts.gateway.cors_of(asked, scope["headers"])
        elif origins.served is not None and origins.served.is_of(scope["headers"]):
            # No function, and the API is not here: a page of a function would be of its origin.
            answer = answers.refused(origins.nobody())
        elif scope["path"] in health.PATHS:
            answer = await health.health(scope, self._parts.warden, self._parts.credentials)
        if answer is not None:
            headers = answer.complete(timing.headers(call_id), asked)
            if option is not None:
                headers = cors.dressed(headers, option, "HEAD", scope["headers"])
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
            return

        async def stamped(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *timing.headers(call_id)]}
            await send(message)

        await self._parts.api(scope, receive, stamped)


def _retention(settings: FrontSettings) -> Retention:
    return Retention(
        settings.log_keep_seconds,
        settings.log_function_max_bytes,
        settings.log_total_max_bytes,
        settings.log_reports_max_bytes,
    )


def _known(lookups: Lookups) -> set[tuple[str, str]]:
    return {(space, name) for space, name, _ in lookups.options()}
