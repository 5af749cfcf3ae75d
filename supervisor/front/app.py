"""The front's application: invocations go to the gateway, all other requests to health or the API.

Every answer carries ``X-Call-Id``, ``X-Duration-Seconds`` and ``Server-Timing``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from supervisor.front import health
from supervisor.front.following.answer_tail import AnswerTail
from supervisor.front.following.subscriptions import Subscriptions
from supervisor.front.front_parts import (
    FrontParts,
    bundles_of,
    counts_of,
    keep_for_good,
    known_functions,
    request_log_of,
    retention_of,
)
from supervisor.front.functions.directory import Directory
from supervisor.front.invoke import origins, page_access
from supervisor.front.invoke.call_ids import CallIds
from supervisor.front.invoke.callers.caller_address import Callers
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.invoke.callers.credential_watch import CredentialWatch
from supervisor.front.invoke.gateway import Gateway
from supervisor.front.invoke.http_call import HttpCall
from supervisor.front.lazy_api import LazyApi
from supervisor.front.logs.log_deletion import LogSweeper
from supervisor.front.metering import Counters, Metering
from supervisor.front.outcome import answers, cors, refusals
from supervisor.front.outcome.reports import Reports
from supervisor.front.readiness import Readiness
from supervisor.front.telemetry import forwarding
from supervisor.front.telemetry.metrics import scrape
from supervisor.front.telemetry.metrics.front_numbers import FrontNumbers, LoopLag
from supervisor.front.telemetry.metrics.scrape import Scrapes
from supervisor.front.warden_control import WardenControl
from supervisor.front.warden_link import WardenLink
from supervisor.front_start import FrontStart
from supervisor.settings import front_settings
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Lookups, Sealer, open_lookups
from supervisor.store.drivers import DATABASE_NAME
from supervisor.store.ring.key_file import KEY_NAME, KeyFile

if TYPE_CHECKING:
    from supervisor.front.telemetry.otlp_exporter import Exporter

log = logging.getLogger("cellblock.front")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# The warden tells the settings when the link opens.  This much later it is stuck, and calls go on without.
TOLD_SECONDS = 5.0


class FrontConfig(NamedTuple):
    """The configuration that the warden gives to gunicorn, and gunicorn to each worker."""

    control_fd: int
    listen_fd: int
    settings: FrontSettings
    metrics_token_sha256: bytes
    runtimes: tuple[str, ...]
    tier: str

    @classmethod
    def of(cls, start: FrontStart, control_fd: int, listen_fd: int) -> FrontConfig:
        """What the warden said, with the types of this process."""
        return cls(
            control_fd,
            listen_fd,
            front_settings.at_start(start.settings),
            bytes.fromhex(start.metrics_token_sha256),
            tuple(start.runtimes),
            start.tier,
        )

    @property
    def store_url(self) -> str:
        """The URL of the store: the operator's, or the embedded one's."""
        return self.settings.shared_store or f"sqlite:///{self.settings.front_dir / DATABASE_NAME}"


class Application:
    """One per front worker.  ``warden_socket`` is set after the worker's fork.

    ``settings`` are those that the warden told last.  ``recognise`` says which function a path and headers
    name, ``callers`` whose it is.
    """

    call_ids: CallIds  # from the start on

    def __init__(self, config: FrontConfig) -> None:
        self._config = config
        self.settings = config.settings
        self._parts: FrontParts | None = None
        self._reports: Reports | None = None
        self._exporter: Exporter | None = None
        self.warden_socket: socket.socket | None = None
        # The counters of quotas that all fronts share, and this front's slot of them.
        self.counters: Counters | None = None
        domain, reach = config.settings.functions_domain, config.settings.functions_reach
        self._domain = origins.Domain(domain, reach) if domain is not None else None
        self.recognise = self._domain.recognise if self._domain else origins.recognise_path
        self.callers = Callers(config.settings.trusted_proxies)

    @property
    def invoke(self) -> Callable[[HttpCall], None]:
        """Begins an invocation, without ASGI; there once the application was started."""
        assert self._parts is not None, "a request before the start"
        return self._parts.gateway.begin

    def drain(self) -> None:
        """Tell answers that follow a log that the server ends; others finish by themselves."""
        if self._parts is not None:
            self._parts.readiness.is_draining = True
            self._parts.subscriptions.drain()

    async def start(self) -> None:
        """Make everything but the connections, on the loop that runs."""
        # Made here, in the worker's own process: one from before the fork would repeat another front's ids.
        self.call_ids = CallIds()
        self._parts = self._start()
        try:
            # This process may be new in an old server, whose settings have changed since its start.
            await asyncio.wait_for(self._parts.warden.is_told.wait(), TOLD_SECONDS)
        except TimeoutError:
            log.error("the warden did not tell its settings within %.0f s", TOLD_SECONDS)
        self._parts.directory.begin_to_keep()
        if self._parts.credential_watch is not None:
            self._parts.credential_watch.begin()

    async def stop(self) -> None:
        """Write what is not written yet, and close what is open: no request comes any more."""
        assert self._parts is not None
        self._parts.gateway.ended_calls.report()
        if self._parts.credential_watch is not None:
            self._parts.credential_watch.end()
        await self._parts.directory.finish()
        if self._reports is not None:
            self._reports.flush()
        if self._parts.request_log is not None:
            await self._parts.request_log.close()
        await self._parts.recorder.close()
        await self._parts.metering.flush.close()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close)
        await asyncio.to_thread(self._parts.close)

    def in_force(self) -> FrontSettings:
        """The settings that the warden told last."""
        return self.settings

    def _start(self) -> FrontParts:
        """Make the link, the directory, the gateway and the API on the loop that runs."""
        config, settings = self._config, self._config.settings
        assert self.warden_socket is not None, "no link to the warden"
        key_file = KeyFile(settings.front_dir / KEY_NAME)
        sealer = Sealer(key_file.load_or_create(), key_file.newer)
        lookups = open_lookups(config.store_url, sealer)
        credentials = Credentials(
            metrics_token_sha256=config.metrics_token_sha256,
            source=lookups.credentials,
            callers=self.callers,
        )
        warden = WardenLink(self.warden_socket, settings.queue_seconds, self._warden_lost)
        warden.on_changed["sealing"] = lambda space, name: sealer.refresh()
        kept = retention_of(settings)
        self._exporter = exporter = forwarding.exporter_of(settings)
        recorder = forwarding.recorder_of(settings.logs_dir, kept, exporter)
        self._reports = reports = forwarding.ForwardingReports(settings, recorder.take_reports, exporter)
        bundles = bundles_of(settings, lookups)
        directory = Directory(
            lookups, settings, warden, lambda template: control.runtime_of(template), bundles, recorder
        )
        metering = Metering(lookups, warden, recorder, self.counters, config.store_url, self.in_force)
        subscriptions = Subscriptions(settings.logs_dir)
        directory.on_deleted = subscriptions.deleted
        control = WardenControl(directory, warden, config.runtimes)
        parts_of_api = (bundles, control, credentials, subscriptions, metering.quotas)
        api = LazyApi(config.store_url, sealer, *parts_of_api, self.in_force)
        warden.on_settings = self._told
        warden.on_token = self._token_told
        warden.on_changed["credentials"] = self._credentials_changed
        warden.on_changed["deleted"] = self._space_deleted
        credentials.on_wrong = api.note_refused
        answer_tail = AnswerTail(recorder)
        request_log = request_log_of(settings, credentials)
        counts = counts_of(recorder, exporter, request_log) | metering.counts()
        numbers = FrontNumbers(LoopLag(asyncio.get_running_loop()), counts)
        parts = FrontParts(
            warden,
            credentials,
            directory,
            Gateway(
                directory, credentials, reports, self.call_ids, metering, answer_tail.beside, request_log
            ),
            recorder,
            LogSweeper(settings.logs_dir, kept, lambda: known_functions(lookups)),
            subscriptions,
            api,
            lookups,
            Readiness(warden, lookups, settings.front_dir),
            Scrapes(warden, credentials, config.tier),
            numbers,
            request_log,
            self._watch_of(lookups, credentials),
            metering,
        )
        warden.on_metrics = parts.metric_rows
        keep_for_good()
        return parts

    def _watch_of(self, lookups: Lookups, credentials: Credentials) -> CredentialWatch | None:
        """What hears of credentials that other servers take back; None where there are none."""
        if not lookups.credentials.is_shared or credentials.lookups is None:
            return None
        lease = lambda: self.settings.credential_lease  # noqa: E731
        return CredentialWatch(lookups.credentials.revision, credentials.lookups, lease)

    def _credentials_changed(self, space: str, _name: str) -> None:
        """Forget the credentials of a space; who follows a log there has to come again."""
        assert self._parts is not None and self._parts.credentials.lookups is not None
        self._parts.credentials.lookups.changed(space)
        self._parts.subscriptions.end_space(space)

    def _space_deleted(self, space: str, _name: str) -> None:
        """Forget all of a space."""
        assert self._parts is not None
        self._parts.directory.space_deleted(space)
        self._parts.metering.quotas.changed(space)
        self._credentials_changed(space, "")

    def _told(self, values: dict[str, Any]) -> None:
        """Take the warden's settings, at the start and whenever they change."""
        assert self._parts is not None
        settings = front_settings.after_change(self.settings, values)
        if settings == self.settings:
            return
        self.settings = settings
        logging.getLogger().setLevel(settings.log_level.upper())
        self._parts.warden.retune(settings.queue_seconds)
        self._parts.api.retune(settings)
        self._parts.directory.retune(settings)

    def _token_told(self, digest: bytes) -> None:
        """Know the administrator by this token alone; who follows a log by the old one has to come again."""
        assert self._parts is not None
        if self._parts.credentials.replace(digest):
            self._parts.subscriptions.end_all()

    def leave(self) -> None:
        """End the drain: refuse the calls that still wait, and end those that still run."""
        if self._parts is not None:
            self._parts.directory.leave()

    def _warden_lost(self) -> None:
        # Either the warden is dead and this process dies with it, or the warden took this front for stuck
        # and gunicorn starts another one.
        log.error("the link to the warden closed: this front ends")
        os.kill(os.getpid(), signal.SIGTERM)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is no invocation, by ASGI."""
        assert self._parts is not None, "a request before the start"
        started = time.perf_counter()
        call_id = self.call_ids.of(scope["headers"])
        status = 0

        async def watched(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._answer(scope, receive, watched, call_id, started)
        finally:
            self._parts.numbers.requests[status] += 1
            if self._parts.request_log is not None:
                self._parts.request_log.request(scope, call_id, status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, call_id: str, started: float) -> None:
        parts = self._parts
        assert parts is not None
        asked = self.recognise(scope["raw_path"], scope["headers"])
        answer = option = None
        if asked is not None and scope["method"] == "HEAD":
            answer = answers.refused(refusals.not_a_method("HEAD"))
            option = await page_access.cors_of(parts.directory, asked, scope["headers"])
        elif self._domain is not None and self._domain.is_of(scope["headers"]):
            # No function has this host, and the API is not here: functions' pages would share its origin.
            answer = answers.refused(origins.nobody())
        elif scope["path"] in health.PATHS:
            answer = await health.health(scope, parts.warden, parts.credentials, parts.readiness)
        elif scope["path"] == scrape.PATH:
            answer = await parts.scrapes.answer(scope)
        if answer is not None:
            headers = answer.complete(answers.stamps(call_id, time.perf_counter() - started), asked)
            if option is not None:
                headers = cors.dressed(headers, option, "HEAD", scope["headers"])
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
            return

        async def stamped(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                stamps = answers.stamps(call_id, time.perf_counter() - started)
                message = {**message, "headers": [*message.get("headers", ()), *stamps]}
            await send(message)

        await parts.api(scope, receive, stamped)
