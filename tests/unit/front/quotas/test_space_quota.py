"""One space's quotas, taken from by two fronts that share a page."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from supervisor.errors import PlatformError
from supervisor.front.quotas.counter_page import CounterPage
from supervisor.front.quotas.space_quota import RINGS, SpaceQuota
from supervisor.store import QuotasOfSpace
from supervisor.tenancy.quota_names import QUOTAS, checked_limits

ROW = 2
# https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/: a list of strings with parameters.
ITEM = r'"[a-z_]+"(;[a-z]+=(\d+|"[a-z-]+"))+'
FIELD = re.compile(rf"{ITEM}(, {ITEM})*")


class Fronts:
    """Two fronts with the same quotas; ``spent`` is what is to be written."""

    def __init__(self, identifier: str = "01A", page: CounterPage | None = None, **limits: int) -> None:
        self.page = page or CounterPage(2, rows=4)
        self.spent = Counter[tuple[str, str]]()
        self.refused = Counter[str]()
        found = QuotasOfSpace("acme", identifier, ROW, limits)
        self.one, self.two = (
            SpaceQuota(self.page, slot, found, self.note, self.refused) for slot in range(2)
        )

    def note(self, space: str, quota: str, part: int, amount: int) -> None:
        self.spent[space, quota] += amount


def quota_of(refusal: PlatformError | None) -> object:
    assert refusal is not None and refusal.details is not None
    return refusal.details["quota"]


def test_without_a_limit_everything_is_admitted() -> None:
    fronts = Fronts(functions=1)
    assert [fronts.one.take() for _ in range(100)] == [None] * 100
    assert fronts.one.headers() == []
    assert fronts.one.used() == {}


def test_fronts_admit_together_what_the_quota_allows() -> None:
    fronts = Fronts(calls_per_minute=5)
    taken = [front.take() for _ in range(5) for front in (fronts.one, fronts.two)]
    assert taken.count(None) == 5
    assert fronts.one.used() == fronts.two.used() == {"calls_per_minute": 5}
    assert fronts.refused == {"calls_per_minute": 5}


def test_a_call_that_is_refused_for_its_rate_takes_no_place_among_those_at_once() -> None:
    fronts = Fronts(calls_per_minute=1, concurrent_calls=2)
    assert fronts.one.take() is None
    assert quota_of(fronts.two.take()) == "calls_per_minute"
    assert fronts.one.used()["concurrent_calls"] == 1
    fronts.one.give_back()
    assert fronts.two.used()["concurrent_calls"] == 0


def test_limits_that_change_keep_what_was_counted() -> None:
    fronts = Fronts(concurrent_calls=2)
    assert (fronts.one.take(), fronts.two.take()) == (None, None)
    assert quota_of(fronts.one.take()) == "concurrent_calls"
    fronts.one.tell({"concurrent_calls": 3})
    assert fronts.one.take() is None
    fronts.one.tell({})
    assert fronts.one.take() is None
    fronts.one.tell({"concurrent_calls": 3})
    assert quota_of(fronts.one.take()) == "concurrent_calls"


def test_processor_time_counts_in_milliseconds_and_refuses_once_it_is_spent() -> None:
    fronts = Fronts(cpu_seconds_per_hour=1)
    for _ in range(999):
        fronts.one.ended(500, "acme")  # two are a millisecond
        fronts.two.ended(500, "acme")
    assert fronts.one.take() is None
    fronts.one.ended(2_000, "acme")
    refusal = fronts.two.take()
    assert quota_of(refusal) == "cpu_seconds_per_hour"
    assert refusal is not None and 3500 < int(refusal.headers["Retry-After"]) <= 3660
    assert 998 <= fronts.spent["acme", "cpu_seconds_per_hour"] <= 1001


def test_log_lines_are_kept_up_to_the_quota_of_all_fronts() -> None:
    fronts = Fronts(log_bytes_per_day=100)
    kept = [front.logs(30, "acme") for _ in range(3) for front in (fronts.one, fronts.two)]
    assert kept == [True, True, True, False, False, False]
    assert fronts.one.logs(10, "acme") and not fronts.two.logs(1, "acme")
    assert fronts.spent["acme", "log_bytes_per_day"] == 100


def test_a_call_of_a_space_whose_row_is_another_spaces_by_now_changes_nothing_there() -> None:
    """Its quotas were removed while it ran, and the row went to a space with new ones."""
    before = Fronts(concurrent_calls=5)
    assert before.one.take() is None
    after = Fronts("01B", before.page, concurrent_calls=5)
    assert after.one.take() is None and after.one.take() is None
    before.one.give_back()
    before.one.ended(10**9, "acme")
    assert after.one.used() == {"concurrent_calls": 2}


def test_the_headers_are_structured_fields_of_the_draft() -> None:
    fronts = Fronts(calls_per_minute=2, concurrent_calls=9)
    assert fronts.one.take() is None
    for name, value in fronts.one.headers():
        assert name in (b"ratelimit", b"ratelimit-policy")
        assert FIELD.fullmatch(value.decode()), value
    assert (b"ratelimit", b'"calls_per_minute";r=1;t=60') in fronts.one.headers()
    fronts.one.take()
    refusal = fronts.one.take()
    assert refusal is not None
    assert FIELD.fullmatch(refusal.headers["ratelimit"])
    assert refusal.headers["ratelimit-policy"].endswith('"calls_per_minute";q=2;w=60')


def test_the_rings_are_those_of_the_quotas_with_a_window() -> None:
    assert set(RINGS) == {name for name, quota in QUOTAS.items() if quota.window_s}


@pytest.mark.parametrize(
    "limits", [{"function": 1}, *({"functions": limit} for limit in (-1, True, "1", 1.0, 10**9))]
)
def test_limits_that_cannot_be_are_refused(limits: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        checked_limits(limits)
