"""What a front is made of, once its event loop runs, and how single parts are made of settings."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.bundles.bundle_store import BundleStore
from supervisor.front.following.subscriptions import Subscriptions
from supervisor.front.functions.directory import Directory
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.invoke.callers.credential_watch import CredentialWatch
from supervisor.front.invoke.gateway import Gateway
from supervisor.front.lazy_api import LazyApi
from supervisor.front.logs.log_deletion import LogSweeper
from supervisor.front.logs.recorder import Recorder
from supervisor.front.metering import Metering
from supervisor.front.readiness import Readiness
from supervisor.front.telemetry.metrics.front_numbers import FrontNumbers
from supervisor.front.telemetry.metrics.scrape import Scrapes
from supervisor.front.warden_link import WardenLink
from supervisor.link_records import MetricRow
from supervisor.logs import Retention
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Lookups, errors_so_far

if TYPE_CHECKING:
    from supervisor.front.telemetry.otlp_exporter import Exporter
    from supervisor.front.telemetry.request_log import RequestLog


@dataclass(eq=False, repr=False)
class FrontParts:
    """The parts of a front that need the running event loop."""

    warden: WardenLink
    credentials: Credentials
    directory: Directory
    gateway: Gateway
    recorder: Recorder
    log_sweeper: LogSweeper
    subscriptions: Subscriptions
    api: LazyApi
    lookups: Lookups
    readiness: Readiness
    scrapes: Scrapes
    numbers: FrontNumbers
    request_log: RequestLog | None
    credential_watch: CredentialWatch | None
    metering: Metering

    def metric_rows(self) -> Iterable[MetricRow]:
        """What ``/metrics`` shows of this front."""
        self.gateway.ended_calls.report()  # what was answered is counted, whoever asks next
        return itertools.chain(self.directory.call_metrics.rows(), self.numbers.rows())

    def close(self) -> None:
        """Close the store, for both of its users; blocks."""
        self.lookups.close()
        self.api.close()


def bundles_of(settings: FrontSettings, lookups: Lookups) -> BundleStore:
    """The folder of bundles, which takes what it lacks from the store."""
    return BundleStore(
        settings.front_dir / "bundles",
        settings.bundle_max_bytes,
        settings.bundle_max_entries,
        pieces_of=lookups.pieces_of,
    )


def keep_for_good() -> None:
    """Take the objects of the start, which stay, out of the collector's sight."""
    # Without this each full collection walks all of them: tens of milliseconds in which no call moves.
    gc.collect()
    gc.freeze()
    # A call makes a few dozen objects and drops them at once; by default the collector would look for cycles
    # every ten calls.
    gc.set_threshold(10_000, 20, 20)


def request_log_of(settings: FrontSettings, credentials: Credentials) -> RequestLog | None:
    """The request log of the settings; None where it is off."""
    if settings.request_log == "off":
        return None
    # Imported here, for most servers have no use for it.
    from supervisor.front.telemetry import request_log

    return request_log.log_of(settings, credentials)


def counts_of(
    recorder: Recorder, exporter: Exporter | None, request_log: RequestLog | None
) -> dict[tuple[str, str], Callable[[], int]]:
    """What ``/metrics`` counts besides calls, by metric and label."""
    return {
        ("cellblock_log_records_kept_total", ""): lambda: recorder.kept,
        ("cellblock_log_records_dropped_total", "limit"): lambda: recorder.above_limits,
        ("cellblock_log_records_dropped_total", "disk"): lambda: recorder.dropped,
        ("cellblock_export_dropped_total", ""): lambda: exporter.dropped if exporter else 0,
        ("cellblock_request_log_dropped_total", ""): lambda: request_log.dropped if request_log else 0,
        ("cellblock_store_errors_total", ""): errors_so_far,
    }


def retention_of(settings: FrontSettings) -> Retention:
    """How long and how much of functions' logs is kept."""
    return Retention(
        settings.log_keep_seconds,
        settings.log_function_max_bytes,
        settings.log_total_max_bytes,
        settings.log_reports_max_bytes,
    )


def known_functions(lookups: Lookups) -> set[tuple[str, str]]:
    """The functions that there are; blocks."""
    return {(space, name) for space, name, _ in lookups.options()}
