"""What spaces had spent before this server's start, put into the counters that its fronts will share."""

from __future__ import annotations

import logging
import time

from supervisor.errors import PlatformError
from supervisor.front.quotas.counter_page import CounterSlots
from supervisor.front.quotas.space_quota import RINGS, ring_of, tag_of
from supervisor.store.drivers import driver_of
from supervisor.store.tenants.usage_batch import spent_so_far
from supervisor.tenancy.quota_names import PARTS

log = logging.getLogger("cellblock.front")


def remember(slots: CounterSlots, store_url: str) -> None:
    """Read it from the store; blocks.  Without the store the quotas begin anew."""
    try:
        rows = spent_so_far(driver_of(store_url))
    except PlatformError as error:
        log.warning("what spaces had spent of their quotas is not known: %s", error.message)
        return
    now = time.time()
    for identifier, row, quota, part, amount in rows:
        if quota not in RINGS or not 0 <= row < slots.page.rows:
            continue
        slots.page.own(row, tag_of(identifier))
        ring = ring_of(slots.page, row, slots.past, quota)
        if 0 <= ring.part_of(now) - part <= PARTS:
            ring.put(part, amount)
