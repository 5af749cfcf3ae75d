"""A caller whose credential was recognised."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Principal:
    """``name`` says which credential it is, and is no secret: "admin", "app:ID" or "key:ID".

    ``space`` is the only one that it may see; None is the administrator, who may do everything.
    ``functions`` narrows some scopes to these names; None is every function of the space.
    """

    name: str
    space: str | None = None
    scopes: frozenset[str] = frozenset()
    functions: frozenset[str] | None = None

    @property
    def is_admin(self) -> bool:
        """Whether this is the administrator of the server."""
        return self.space is None


ADMIN = Principal("admin")
