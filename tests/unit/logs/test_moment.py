"""Times as people write them."""

from __future__ import annotations

import pytest

from supervisor.logs import moment, rfc3339

NOW_NS = 1_800_000_000_123_456_789
S = 10**9


@pytest.mark.parametrize(
    ("text", "ago_ns"),
    [
        ("0s", 0),
        ("90s", 90 * S),
        ("10m", 600 * S),
        ("1h30m", 5400 * S),
        ("2d", 172_800 * S),
        ("1d1ms", 86_400 * S + S // 1000),
    ],
)
def test_how_long_ago_is_from_now(text: str, ago_ns: int) -> None:
    assert moment(text, NOW_NS) == NOW_NS - ago_ns


def test_longer_ago_than_time_itself_is_its_beginning() -> None:
    assert moment("999999999d", NOW_NS) == 0


@pytest.mark.parametrize(
    "text", ["1970-01-01T00:00:01Z", "1970-01-01t01:00:01.000000000+01:00", "1970-01-01 00:00:01z",
             "1970-01-01T01:00:01 01:00", "1969-12-31T23:00:01-01:00"],
)  # fmt: skip
def test_rfc_3339_is_read_in_its_spellings(text: str) -> None:
    assert moment(text) == S


def test_what_is_shown_is_read_to_the_nanosecond() -> None:
    assert moment(rfc3339(NOW_NS)) == NOW_NS
    assert moment("2026-01-31T12:00:00.5Z") - moment("2026-01-31T12:00:00Z") == S // 2


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "-1m", "1.5h", "1m ", "1h 30m", "10 m", "1M", "\u0661m", "9999999999s", "now", "12:00",
     "2026-01-31", "2026-01-31T12:00Z", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "2026-01-31T24:00:01Z",
     "2026-01-31T12:00:00.1234567890Z", "1969-12-31T23:59:59Z", "1s" * 100, "2026-01-31T12:00:00+99:00"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="10m"):
        moment(text, NOW_NS)
