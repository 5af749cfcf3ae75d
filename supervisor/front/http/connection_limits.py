"""All connections of a front together: how many there may be, in all and of one address, and what they hold.

One caller's bounds do not add up to a bound of the front: a thousand callers may each send a whole body.
``supervisor.front.invoke.wrong_tokens.network_of`` says which addresses count together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Of all that the front may hold one address may take this share, so that it alone keeps nobody out.
ADDRESS_SHARE = 0.5


@dataclass(slots=True)
class Group:
    """What one address has here."""

    connections: int = 0
    held_bytes: int = 0


@dataclass(slots=True)
class Crowd:
    """Counts; whoever is refused is told so by its connection."""

    connections_most: int
    per_address_most: int
    held_most_bytes: int
    connections: int = 0
    held_bytes: int = 0
    groups: dict[str, Group] = field(default_factory=dict)

    def come(self, group: str) -> str:
        """A connection has come; why it cannot stay, or ""; ``go`` is due for it in any case."""
        self.connections += 1
        one = self.groups.get(group)
        if one is None:
            one = self.groups[group] = Group()
        one.connections += 1
        if self.connections > self.connections_most:
            return f"it has {self.connections_most} connections, its most"
        if one.connections > self.per_address_most:
            return f"your address has {self.per_address_most} connections here, the most for one"
        return ""

    def go(self, group: str, held_bytes: int) -> None:
        """It has gone, and what was held for it is free."""
        self.connections -= 1
        self.hold(group, -held_bytes)
        one = self.groups[group]
        one.connections -= 1
        if not one.connections:
            del self.groups[group]

    def hold(self, group: str, more_bytes: int) -> bool:
        """Count so many bytes more, or fewer; False where that is more than there is room for."""
        self.held_bytes += more_bytes
        one = self.groups[group]
        one.held_bytes += more_bytes
        return (
            self.held_bytes <= self.held_most_bytes and one.held_bytes <= self.held_most_bytes * ADDRESS_SHARE
        )
