"""Finds the caller of a request that came through a proxy: the request log, the count of wrong tokens and the
bounds of connections all ask here.

Only a peer that the operator trusts is believed, and of its words only what proxies of ours have appended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from supervisor.front.outcome.answers import Headers

# Proxies between a caller and us, and so many of their words are looked at.
HOPS_MOST = 32
FORWARDED = b"x-forwarded-for"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def address_of(text: str) -> Address | None:
    """The address in one word of X-Forwarded-For, which may have a port; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped if isinstance(found, IPv6Address) else None) or found


class Callers:
    """Who a request is from, as far as the proxies in between are trusted (setting ``trusted_proxies``)."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted: tuple[Network, ...] = tuple(map(ip_network, trusted))
        # Most connections come from few addresses.
        self._is_trusted = lru_cache(maxsize=1024)(self._is_in_a_network)

    def _is_in_a_network(self, text: str) -> bool:
        found = address_of(text)
        return found is not None and any(found in network for network in self._trusted)

    def is_proxy(self, peer: str) -> bool:
        """Whether a connection's other end brings the requests of many callers."""
        return bool(self._trusted) and self._is_trusted(peer)

    def address(self, peer: str, headers: Headers) -> str:
        """The first address, seen from here, that is no proxy of ours.

        Each proxy appends whom it was asked by, so the words are read from the right: what stands left of an
        address that we do not trust may be that caller's invention.
        """
        if not self.is_proxy(peer):
            return peer
        # From here on the bytes are hostile.
        words = b",".join(value for name, value in headers if name == FORWARDED).decode("latin-1")
        for word in reversed(words.rsplit(",", HOPS_MOST)[-HOPS_MOST:]):
            found = address_of(word)
            if found is None:
                break
            peer = str(found)
            if not self._is_trusted(peer):
                break
        return peer

    def of(self, scope: Mapping[str, Any]) -> str:
        """The address of an ASGI request's caller; "" where it has none, as on a Unix socket."""
        client = scope.get("client")
        return self.address(str(client[0]), scope["headers"]) if client else ""
