"""Wrong tokens, counted by where they come from.  Pure; the time is an argument.

An address may be wrong BURST times at once and then once each EVERY_S; an IPv6 address is its /64, which is
what one customer has.  Who holds a right token is never counted and never refused: behind one address may be
many.  So this does not keep a token from being found (its length does: 16 characters at the least, 256 random
bits where the server makes it), it keeps a guesser from being cheap and unseen.

Each front counts by itself: over all of a server's an address has BURST for each.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass

# A console with an old token asks for a dozen things at once, a script in a loop for one a second.
BURST = 100
EVERY_S = 1.0
# So many are remembered, about 1 MiB; the one that was wrong longest ago is forgotten.
ADDRESSES_MOST = 4096
# A line for an address, at most as often as this.
LINE_EVERY_S = 60.0
# Of one look; whoever has more addresses than that has many.
LINES_MOST = 20
PREFIX_BITS = 64


@dataclass
class _Count:
    left: float  # of BURST, as of ``at``
    at: float
    untold: int = 0
    told_at: float = -math.inf


class Guesses:
    """Of one front."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def wrong(self, address: str, now: float) -> float:
        """One more wrong token; 0, or above the limit the seconds until there is room for another."""
        key = network_of(address)
        count = self._counts.pop(key, None) or _Count(BURST, now)
        self._counts[key] = count
        if len(self._counts) > ADDRESSES_MOST:
            self._counts.popitem(last=False)
        count.left = min(BURST, count.left + (now - count.at) / EVERY_S)
        count.at = now
        count.untold += 1
        if count.left >= 1:
            count.left -= 1
            return 0.0
        return (1 - count.left) * EVERY_S

    def line(self, address: str, now: float) -> str:
        """What is to be said of an address that is above the limit, "" if it was said not long ago."""
        key = network_of(address)
        count = self._counts[key]
        if now - count.told_at < LINE_EVERY_S:
            return ""
        said = f"{_tokens(count.untold)} from {key}, above the limit of {BURST} and one each {EVERY_S:g} s"
        count.untold, count.told_at = 0, now
        return said

    def lines(self) -> list[str]:
        """What has not been told yet, a line for each address, and one for those beyond LINES_MOST."""
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


def _tokens(number: int) -> str:
    return f"{number} wrong token{'s' if number != 1 else ''}"


def network_of(address: str) -> str:
    """Whose guesses are counted together.

    >>> network_of("::ffff:192.0.2.7"), network_of("2001:db8:1:2:3::9"), network_of("")
    ('192.0.2.7', '2001:db8:1:2::/64', 'an unknown address')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket has none
        return "an unknown address"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> PREFIX_BITS << PREFIX_BITS, PREFIX_BITS)))
