"""Usage as the API reads it, and the closing of a space, on both stores."""

from __future__ import annotations

import pytest

from supervisor.store import database
from supervisor.store.drivers import driver_of
from supervisor.store.tenants import usage_batch, usage_queries
from supervisor.store.tenants.usage_batch import CallsKey, SpentKey, UsageBatch
from supervisor.store.tenants.usage_queries import UsageKey
from tests.support.stores import FIRST, executed, refusal

FIRST_DAY, LAST_DAY = "2026-11-30", "2026-12-02"
DAYS = [FIRST_DAY, "2026-12-01", LAST_DAY]


@pytest.fixture
def used(store, url):
    """Three days of two functions in two spaces."""
    rows = {
        CallsKey(space, day, function, outcome): [number, 10, 20, 30, 40, 0]
        for day in DAYS
        for space in ("default", "demo")
        for function in ("a", "b")
        for outcome, number in (("answered", 5), ("raised", 1))
    }
    usage_batch.write(driver_of(url), UsageBatch("front", 1, LAST_DAY, rows, {SpentKey("demo", "q", 1): 9}))
    return store.usage


def keys(page):
    return [(one.day, one.space, one.function) for one in page.items]


def test_a_day_of_a_function_adds_up_its_outcomes(used):
    page = used.page("demo", "a", FIRST_DAY, FIRST_DAY, 10)
    (day,) = page.items
    assert (day.outcomes, day.cpu_us, day.memory_byte_s) == ({"answered": 5, "raised": 1}, 20, 40)
    assert (day.bytes_in, day.bytes_out, day.bytes_logged, day.bytes_stored) == (60, 80, 0, 0)


def test_days_functions_and_spaces_can_be_chosen(used):
    assert keys(used.page("demo", None, "2026-12-01", LAST_DAY, 10)) == [
        (day, "demo", function) for day in DAYS[1:] for function in ("a", "b")
    ]
    assert keys(used.page(None, "b", LAST_DAY, LAST_DAY, 10)) == [
        (LAST_DAY, "default", "b"),
        (LAST_DAY, "demo", "b"),
    ]
    assert keys(used.page("demo", None, "2027-01-01", "2027-01-02", 10)) == []


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_of_any_size_are_the_whole_list_once(used, limit):
    whole = keys(used.page(None, None, FIRST_DAY, LAST_DAY, 100))
    found, after = [], None
    while True:
        page = used.page(None, None, FIRST_DAY, LAST_DAY, limit, after)
        found += keys(page)
        if not page.more_after:
            break
        after = UsageKey(*found[-1])
    assert found == whole
    assert len(whole) == 12


def test_the_usage_of_a_space_that_there_is_not_is_a_404(store):
    assert refusal(lambda: store.usage.page("nowhere", None, FIRST_DAY, LAST_DAY, 10)).status == 404


def test_the_usage_of_a_function_outlives_it(used, store):
    store.create_function("demo", "a", FIRST)
    store.delete_function("demo", "a")
    assert len(used.page("demo", "a", FIRST_DAY, LAST_DAY, 10).items) == 3


@pytest.mark.promise("S223")
def test_a_space_that_is_closed_leaves_one_record_of_all_it_used(used, store, url):
    store.quotas.put("demo", {"functions": 1})
    db = database.connect(url)
    db.write(lambda connection: usage_queries.close_space(connection, "demo", store._now()))
    db.close()
    (closed,) = store.usage.closed(10).items
    assert (closed.usage.space, closed.first_day, closed.last_day) == ("demo", FIRST_DAY, LAST_DAY)
    assert closed.usage.outcomes == {"answered": 30, "raised": 6}
    assert (closed.usage.cpu_us, closed.usage.bytes_out) == (120, 480)
    for table in ("usage_days", "space_quotas", "quota_spent"):
        assert executed(url, f"SELECT COUNT(*) FROM {table} WHERE space = 'demo'") == 0
    assert executed(url, "SELECT COUNT(*) FROM usage_days") == 12  # the other space's


def test_a_space_that_used_nothing_closes_too(store, url):
    db = database.connect(url)
    first = db.write(lambda connection: usage_queries.close_space(connection, "demo", store._now()))
    second = db.write(lambda connection: usage_queries.close_space(connection, "demo", store._now()))
    db.close()
    newest = store.usage.closed(1)
    assert ([one.id for one in newest.items], newest.more_after) == ([max(first, second)], True)
    assert [one.id for one in store.usage.closed(1, max(first, second)).items] == [min(first, second)]
