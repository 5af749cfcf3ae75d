"""Counts the connections of a front and the bytes that they hold, in all and per address, up to a bound.

Bounds per connection do not bound the front: a thousand callers may each send a whole body.  A trusted proxy
brings the requests of many callers: no bound per address holds for its connections, and the bytes of a
request count for the caller's address (``supervisor.front.invoke.callers.caller_address``).
``supervisor.front.invoke.callers.wrong_tokens.network_of`` says which addresses count together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# One address may take this share of the bytes that a front may hold, so that it alone keeps no other out.
ADDRESS_SHARE = 0.5


@dataclass(slots=True, eq=False, repr=False)
class AddressUse:
    """The connections and held bytes of one address."""

    connections: int = 0
    held_bytes: int = 0


@dataclass(slots=True, eq=False, repr=False)
class ConnectionCounts:
    """Counts all connections of a front.  A connection itself tells its caller of a refusal."""

    connections_most: int
    per_address_most: int
    held_most_bytes: int
    connections: int = 0
    held_bytes: int = 0
    groups: dict[str, AddressUse] = field(default_factory=dict)

    def enter(self, group: str, *, is_proxy: bool) -> str:
        """Count a new connection.  Returns why it is refused, or ""; ``leave`` is due in both cases."""
        self.connections += 1
        one = self.groups.get(group)
        if one is None:
            one = self.groups[group] = AddressUse()
        one.connections += 1
        if self.connections > self.connections_most:
            return f"it has {self.connections_most} connections, its most"
        if one.connections > self.per_address_most and not is_proxy:
            return f"your address has {self.per_address_most} connections here, the most for one"
        return ""

    def leave(self, group: str, held_bytes: int) -> None:
        """Count a connection out, with the bytes that were held for it."""
        self.connections -= 1
        self.hold(group, -held_bytes)
        self._leave_group(group)

    def move(self, group: str, other: str, held_bytes: int) -> None:
        """Count a connection, with the bytes that were held for it, for another address than before."""
        self.hold(group, -held_bytes)
        one = self.groups.get(other)
        if one is None:
            one = self.groups[other] = AddressUse()
        one.connections += 1
        self.hold(other, held_bytes)
        self._leave_group(group)

    def _leave_group(self, group: str) -> None:
        one = self.groups[group]
        one.connections -= 1
        if not one.connections:
            del self.groups[group]

    def hold(self, group: str, more_bytes: int) -> bool:
        """Count more (or, if negative, fewer) held bytes; False if they are too many."""
        self.held_bytes += more_bytes
        one = self.groups[group]
        one.held_bytes += more_bytes
        return (
            self.held_bytes <= self.held_most_bytes and one.held_bytes <= self.held_most_bytes * ADDRESS_SHARE
        )
