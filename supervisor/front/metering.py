"""What a front counts of calls and log lines for their spaces: quotas and usage, tied to each other."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from supervisor.front.logs.recorder import Recorder
from supervisor.front.quotas.counter_page import CounterPage
from supervisor.front.quotas.log_quota import LogQuota
from supervisor.front.quotas.quota_table import QuotaTable
from supervisor.front.quotas.space_quota import RINGS
from supervisor.front.telemetry.metrics.metric_table import QUOTA_REFUSALS
from supervisor.front.usage.usage_book import UsageBook
from supervisor.front.usage.usage_flush import UsageFlush
from supervisor.front.warden_link import WardenLink
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Lookups
from supervisor.store.drivers import driver_of
from supervisor.tenancy.quota_names import CONCURRENT_CALLS

FRONT_ID_BYTES = 13  # as hex as long as a ULID

# The shared counters, and a front's slot of them.
Counters = tuple[CounterPage, int]


class Metering:
    """One per front worker."""

    def __init__(
        self,
        lookups: Lookups,
        warden: WardenLink,
        recorder: Recorder,
        counters: Counters | None,
        store_url: str,
        settings: Callable[[], FrontSettings],
    ) -> None:
        """Without ``counters`` this front counts for itself; ``settings()`` gives those in force."""
        page, slot = counters or (CounterPage(1), 0)
        self.usage = UsageBook(secrets.token_hex(FRONT_ID_BYTES))
        self.quotas = QuotaTable(lookups, page, slot, self.usage.spent)
        self.flush = UsageFlush(driver_of(store_url), self.usage, settings)
        recorder.admit = LogQuota(self.quotas, self.usage).admitted
        warden.on_changed["quotas"] = self.quotas.changed

    def counts(self) -> dict[tuple[str, str], Callable[[], int]]:
        """What ``/metrics`` shows of it, by metric and label."""
        refused = self.quotas.refused
        return {
            (QUOTA_REFUSALS, quota): partial(refused.__getitem__, quota)
            for quota in (CONCURRENT_CALLS, *RINGS)
        }
