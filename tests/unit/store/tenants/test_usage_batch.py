"""Increments of usage, on both stores: added once, whatever happens to their front."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.front.usage.usage_book import UsageBook, day_of
from supervisor.store.drivers import driver_of
from supervisor.store.tenants import usage_batch
from supervisor.store.tenants.usage_batch import CallsKey, SpentKey, UsageBatch
from tests.support.stores import FIRST, at_once, executed

DAY = "2026-12-01"
NOON = 1_796_126_400.0  # of that day
KEY = CallsKey("demo", DAY, "hello", "answered")


@pytest.fixture
def driver(store, url):
    store.create_function("demo", "hello", FIRST)
    return driver_of(url)


def batch(number, calls=None, spent=None, front="a"):
    return UsageBatch(front, number, DAY, calls or {KEY: [1, 2, 3, 4, 5, 6]}, spent or {})


def days(store, first=DAY, last=DAY):
    return store.usage.page("demo", None, first, last, 1000).items


def test_batches_add_up(driver, store):
    assert usage_batch.write(driver, batch(1))
    assert usage_batch.write(driver, batch(2))
    (day,) = days(store)
    assert (day.outcomes, day.cpu_us, day.memory_byte_s) == ({"answered": 2}, 4, 6)
    assert (day.bytes_in, day.bytes_out, day.bytes_logged) == (8, 10, 12)


def test_a_batch_that_is_written_again_is_not_added_again(driver, store):
    """A commit can succeed although its front never hears so."""
    assert usage_batch.write(driver, batch(1))
    assert not usage_batch.write(driver, batch(1))
    assert usage_batch.write(driver, batch(1, front="b"))  # the control: another front's first
    assert days(store)[0].outcomes == {"answered": 2}


@pytest.mark.slow
def test_fronts_that_write_at_once_lose_nothing(driver, store):
    keys = [CallsKey("demo", DAY, f"f{number}", "answered") for number in range(20)]

    def write(front):
        for number in range(1, 6):
            ordered = keys if number % 2 else keys[::-1]
            usage_batch.write(driver, batch(number, {key: [1] * 6 for key in ordered}, front=front))

    assert at_once(*(lambda front=front: write(front) for front in "abcd")) == [None] * 4
    assert [day.outcomes for day in days(store)] == [{"answered": 20}] * 20


def test_what_belongs_to_no_space_is_dropped(driver, store, url):
    gone = CallsKey("gone", DAY, "hello", "answered")
    usage_batch.write(driver, batch(1, {gone: [1] * 6, KEY: [1] * 6}, {SpentKey("gone", "q", 1): 1}))
    assert executed(url, "SELECT COUNT(*) FROM usage_days") == 1
    assert executed(url, "SELECT COUNT(*) FROM quota_spent") == 0


def test_the_size_of_code_is_the_most_of_the_day(driver, store):
    store.put_bundle(FIRST.digest, lambda write: write(b"x" * 70))
    usage_batch.note_stored(driver, DAY)
    usage_batch.write(driver, batch(1))
    assert [(day.function, day.bytes_stored) for day in days(store)] == [("hello", 70)]
    function = store.function("demo", "hello")
    bigger = "e" * 64
    store.put_bundle(bigger, lambda write: write(b"x" * 200))
    store.deploy(function, type(FIRST)(bigger, "python3-http", "", {}, {}), 1)
    usage_batch.note_stored(driver, DAY)
    assert days(store)[0].bytes_stored == 200
    changed = store.function("demo", "hello")
    store.deploy(changed, FIRST, 1)
    usage_batch.note_stored(driver, DAY)
    assert days(store)[0].bytes_stored == 200


def test_what_is_old_is_deleted(driver, store, url):
    old = KEY._replace(day="2025-01-01")
    usage_batch.write(driver, batch(1, {old: [1] * 6, KEY: [1] * 6}, {SpentKey("demo", "q", 5): 1}))
    usage_batch.forget(driver, "2025-06-01", "2025-06-01", {"q": 5})
    assert executed(url, "SELECT COUNT(*) FROM quota_spent") == 1
    usage_batch.forget(driver, "2025-06-01", "2027-01-01", {"q": 6})
    assert [day.day for day in days(store, "2025-01-01")] == [DAY]
    assert executed(url, "SELECT COUNT(*) FROM quota_spent") == 0
    assert executed(url, "SELECT COUNT(*) FROM usage_batches") == 0


def test_what_was_spent_is_read_with_the_row_of_its_counters(driver, store):
    store.quotas.put("demo", {"cpu_seconds_per_hour": 1})
    usage_batch.write(driver, batch(1, spent={SpentKey("demo", "cpu_seconds_per_hour", 7): 30}))
    usage_batch.write(driver, batch(2, spent={SpentKey("demo", "cpu_seconds_per_hour", 7): 12}))
    ((_, row, quota, part, amount),) = usage_batch.spent_so_far(driver)
    assert (row, quota, part, amount) == (0, "cpu_seconds_per_hour", 7, 42)


# What happens to a front: a call ends; what it gathered is written; the same, but the front never hears so; a
# write fails; the front dies with what it has gathered.
CALL = st.tuples(
    st.just("call"),
    st.sampled_from(["hello", "other"]),
    st.sampled_from(["answered", "raised", "timeout"]),
    st.integers(0, 10**9),
    st.integers(0, 10**6),
)
EVENT = st.one_of(CALL, CALL, st.tuples(st.sampled_from(["write", "unheard", "fail", "die", "next day"])))


class Model:
    """A front beside the sums that the store has to have."""

    def __init__(self, driver):
        self.driver, self.now, self.fronts = driver, NOON, 0
        self.stored = Counter()
        self.begin()

    def begin(self):
        self.fronts += 1
        self.book = UsageBook(f"front{self.fronts}", lambda: self.now)
        self.gathered, self.being_written, self.is_stored = [], [], False

    def call(self, function, outcome, cpu_us, size):
        whose = ("demo", function)
        self.book.ended(whose, outcome, self.now, (cpu_us, 1.0, size, 1 << 20), (size, 1))
        self.gathered.append((day_of(self.now), function, outcome, cpu_us, size))

    def batch(self):
        batch = self.book.batch()
        if not self.being_written:
            self.being_written, self.gathered, self.is_stored = self.gathered, [], False
        return batch

    def write(self, is_heard):
        batch = self.batch()
        if batch is None:
            return
        usage_batch.write(self.driver, batch)
        for day, function, outcome, cpu_us, size in [] if self.is_stored else self.being_written:
            key = (day, function)
            self.stored[(*key, outcome)] += 1
            self.stored[(*key, "cpu_us")] += cpu_us
            self.stored[(*key, "bytes")] += size
        self.is_stored = True
        if is_heard:
            self.book.done(batch)
            self.being_written = []


@pytest.mark.promise("S221")
@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENT, max_size=40))
def test_usage_is_the_sum_of_the_reports_but_what_died_with_its_front(driver, store, url, events):
    executed(url, "DELETE FROM usage_days")
    executed(url, "DELETE FROM usage_batches")
    model = Model(driver)
    for event in [*events, ("write",), ("write",)]:
        match event:
            case ("call", *what):
                model.call(*what)
            case ("write",) | ("unheard",):
                model.write(event[0] == "write")
            case ("fail",):
                model.batch()  # the write raises, and the book keeps it
            case ("next day",):
                model.now += 86_400
            case ("die",):
                model.begin()
    found = Counter()
    for day in days(store, DAY, "2027-12-31"):
        key = (day.day, day.function)
        found.update({(*key, outcome): number for outcome, number in day.outcomes.items()})
        found.update({(*key, "cpu_us"): day.cpu_us, (*key, "bytes"): day.bytes_in})
        assert day.memory_byte_s == day.bytes_in  # the calls ran for a second each, at this peak
    assert +found == +model.stored
