"""A moment as a person writes it: RFC 3339, or how long ago."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from supervisor.logs.log_record import NS_PER_SECOND

MOMENT_MAX_CHARS = 64
_FORMS = "write a time such as 2026-01-31T12:00:00Z, or how long ago, such as 90s, 10m, 1h30m or 2d"
_UNITS_NS = {
    "ms": NS_PER_SECOND // 1000,
    "s": NS_PER_SECOND,
    "m": 60 * NS_PER_SECOND,
    "h": 3600 * NS_PER_SECOND,
    "d": 86_400 * NS_PER_SECOND,
}
_PART = r"(\d{1,9})(ms|s|m|h|d)"
_AGO = re.compile(f"(?:{_PART})+", re.ASCII)
_PARTS = re.compile(_PART, re.ASCII)
# A + in a URL's query is decoded to a space: an offset may have that instead.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+ -]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str, now_ns: int | None = None) -> int:
    """Ns since the epoch; a time ago counts from ``now_ns``, by default now.  ValueError says what to write.

    >>> moment("1h30m", now_ns=10**18) == 10**18 - 5400 * 10**9
    True
    """
    # From here on the bytes are hostile.
    if len(text) > MOMENT_MAX_CHARS:
        raise ValueError(_FORMS)
    if _AGO.fullmatch(text):
        ago = sum(int(number) * _UNITS_NS[unit] for number, unit in _PARTS.findall(text))
        return max(0, (time.time_ns() if now_ns is None else now_ns) - ago)
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(_FORMS)
    day, clock, fraction, offset = found.groups()
    offset = "+00:00" if offset in "Zz" else offset.replace(" ", "+")
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{offset}")
    except ValueError as error:
        raise ValueError(f"{error}; {_FORMS}") from None
    # Not timestamp(), which is a float: integers are exact.
    nanoseconds = (whole - _EPOCH) // timedelta(seconds=1) * NS_PER_SECOND
    nanoseconds += int((fraction or "").ljust(9, "0"))
    if nanoseconds < 0:
        raise ValueError(f"a time before 1970; {_FORMS}")
    return nanoseconds
