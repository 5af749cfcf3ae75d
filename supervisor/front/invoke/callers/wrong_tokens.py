"""Counts wrong tokens per address, and wrong secrets per app.  Pure; the time is an argument.

An address may be wrong BURST times at once and then once each EVERY_S.  IPv6 addresses count by their /64,
which is what one customer has.  A caller with a right token is never counted and never refused, because many
callers may share an address.  So this does not keep a token from being found: its length does (at least 16
characters, 256 random bits if the server makes it).  It makes guessing expensive and visible.

Each front counts by itself: a server with several fronts gives an address BURST in each.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

# A console with an old token makes a dozen requests at once, a script in a loop one a second.
BURST = 100
EVERY_S = 1.0
# About 1 MiB.  Beyond it, the address that was wrong longest ago is forgotten.
ADDRESSES_MOST = 4096
# An address gets a line in the log at most this often.
LINE_EVERY_S = 60.0
# Addresses with a line of their own in one report; the rest share one line.
LINES_MOST = 20
PREFIX_BITS = 64


@dataclass(eq=False, repr=False)
class _Count:
    left: float  # what is left of BURST at time ``at``
    at: float
    untold: int = 0
    unaudited: int = 0
    told_at: float = -math.inf


class WrongTokens:
    """The counts of one front."""

    def __init__(self, key_of: Callable[[str], str] | None = None) -> None:
        """``key_of`` says what counts together: by default the addresses of one network."""
        self._key_of = key_of or network_of
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def count(self, address: str, now: float) -> float:
        """Count a wrong token; 0, or above the limit the seconds until the next one is within it."""
        key = self._key_of(address)
        count = self._counts.pop(key, None) or _Count(BURST, now)
        self._counts[key] = count
        if len(self._counts) > ADDRESSES_MOST:
            self._counts.popitem(last=False)
        count.left = _left(count, now)
        count.at = now
        count.untold += 1
        count.unaudited += 1
        if count.left >= 1:
            count.left -= 1
            return 0.0
        return (1 - count.left) * EVERY_S

    def is_above(self, address: str, now: float) -> bool:
        """Whether the next wrong token from there will be above the limit."""
        count = self._counts.get(self._key_of(address))
        return count is not None and _left(count, now) < 1

    def line(self, address: str, now: float) -> str:
        """The log line about an address above the limit, "" if it had one not long ago."""
        key = self._key_of(address)
        count = self._counts[key]
        if now - count.told_at < LINE_EVERY_S:
            return ""
        said = f"{_tokens(count.untold)} from {key}, above the limit of {BURST} and one each {EVERY_S:g} s"
        count.untold, count.told_at = 0, now
        return said

    def lines(self) -> list[str]:
        """Lines about what was not logged yet: one per address, and one for those beyond LINES_MOST."""
        told = [(key, count) for key, count in self._counts.items() if count.untold]
        told.sort(key=lambda pair: -pair[1].untold)
        lines = [f"{_tokens(count.untold)} from {key}" for key, count in told[:LINES_MOST]]
        rest = told[LINES_MOST:]
        if rest:
            number = sum(count.untold for _, count in rest)
            lines.append(f"{_tokens(number)} from {len(rest)} other addresses")
        for _, count in told:
            count.untold = 0
        return lines

    def taken(self) -> dict[str, int]:
        """The numbers since the last time, for the audit: LINES_MOST addresses, and one sum of the others."""
        found = sorted(self._counts.items(), key=lambda pair: -pair[1].unaudited)
        numbers = {key: count.unaudited for key, count in found[:LINES_MOST] if count.unaudited}
        rest = sum(count.unaudited for _, count in found[LINES_MOST:])
        if rest:
            numbers["other addresses"] = rest
        for count in self._counts.values():
            count.unaudited = 0
        return numbers


def _left(count: _Count, now: float) -> float:
    return min(BURST, count.left + (now - count.at) / EVERY_S)


def _tokens(number: int) -> str:
    return f"{number} wrong token{'s' if number != 1 else ''}"


def network_of(address: str) -> str:
    """The network whose wrong tokens count together.

    >>> network_of("::ffff:192.0.2.7"), network_of("2001:db8:1:2:3::9"), network_of("")
    ('192.0.2.7', '2001:db8:1:2::/64', 'an unknown address')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket has no address
        return "an unknown address"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> PREFIX_BITS << PREFIX_BITS, PREFIX_BITS)))
