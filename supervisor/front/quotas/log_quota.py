"""Whether a function's line is kept: by the quota of its space; each kept line counts as usage."""

from __future__ import annotations

from collections import OrderedDict

from supervisor.front.quotas.quota_table import QuotaTable
from supervisor.front.usage.usage_book import UsageBook
from supervisor.logs import Record
from supervisor.tenancy.quota_names import LOG_BYTES_PER_DAY

# A function's log says so often that lines are dropped.
TOLD_EVERY_NS = 600 * 1_000_000_000
# So many functions are remembered as told.
TOLD_MOST = 10_000


class LogQuota:
    """One per front worker."""

    def __init__(self, table: QuotaTable, book: UsageBook) -> None:
        self._spaces = table.latest
        self._book = book
        self._told: OrderedDict[tuple[str, str], int] = OrderedDict()
        # Lines that were dropped.
        self.dropped = 0

    def admitted(self, record: Record) -> Record | None:
        """The record itself, or now and then an entry in its place that says why lines are missing."""
        text = record.text
        size = len(text) if text.isascii() else len(text.encode())
        quota = self._spaces.get(record.space)
        if quota is None or quota.logs(size, record.space):
            self._book.logged(record.space, record.name, size)
            return record
        self.dropped += 1
        key = (record.space, record.name)
        if record.timestamp - self._told.get(key, 0) < TOLD_EVERY_NS:
            return None
        self._told[key] = record.timestamp
        if len(self._told) > TOLD_MOST:
            self._told.popitem(last=False)
        why = (
            f"log lines are dropped: the space's quota {LOG_BYTES_PER_DAY} is spent, "
            f"{quota.limits[LOG_BYTES_PER_DAY]} bytes in 24 hours; log less, or ask the operator for more"
        )
        return record._replace(stream="platform", level="warning", text=why, call_id="", is_failures=False)
