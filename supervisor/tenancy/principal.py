"""A caller whose credential was recognised."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.tenancy.scopes import NARROWED


@dataclass(frozen=True)
class Principal:
    """``name`` says which credential it is, and is no secret: "admin", "app:ID" or "key:ID".

    ``space`` is the only one that it may see; None is the administrator, who may do everything.
    ``scopes`` are single ones.  ``functions`` narrows some of them to these names; None is every function.
    ``expires_at`` is in seconds since 1970.
    """

    name: str
    space: str | None = None
    scopes: frozenset[str] = frozenset()
    functions: frozenset[str] | None = None
    expires_at: float | None = None

    @property
    def is_admin(self) -> bool:
        """Whether this is the administrator of the server."""
        return self.space is None

    def may(self, scope: str, function: str | None = None) -> bool:
        """Whether it may do this in its space; ``function`` None stands for all functions of the space."""
        if self.space is None:
            return True
        if scope not in self.scopes:
            return False
        return self.functions is None or scope not in NARROWED or function in self.functions


ADMIN = Principal("admin")
