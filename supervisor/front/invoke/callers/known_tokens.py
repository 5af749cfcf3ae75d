"""The credentials of spaces that one front has found in the store, by the header that brings them.

A header stands here in one spelling only (``spelled``), so that a caller cannot fill the table with others.
"""

from __future__ import annotations

from supervisor.tenancy.principal import Principal

# About 25 MiB; beyond it the one that was found longest ago is looked up again.
KNOWN_MOST = 50_000
# Of one space: its own many tokens push out its own, and nobody else's.
KNOWN_OF_SPACE_MOST = 2_000


def spelled(token: bytes) -> bytes:
    """The header of a token as nearly every program writes it."""
    return b"Bearer " + token


class KnownTokens:
    """``by_header`` is read for each call; a dict compares bytes only when their keyed hashes are equal.

    So the time of a look-up does not depend on how much of a guess is right.
    """

    def __init__(self) -> None:
        self.by_header: dict[bytes, Principal] = {}
        self._of_space: dict[str | None, dict[bytes, None]] = {}

    def add(self, header: bytes, principal: Principal) -> None:
        """Remember whose a header is."""
        self.by_header[header] = principal
        headers = self._of_space.setdefault(principal.space, {})
        headers[header] = None
        if len(headers) > KNOWN_OF_SPACE_MOST:
            self.drop(next(iter(headers)))
        elif len(self.by_header) > KNOWN_MOST:
            self.drop(next(iter(self.by_header)))

    def drop(self, header: bytes) -> None:
        """Forget one."""
        principal = self.by_header.pop(header, None)
        if principal is not None:
            headers = self._of_space[principal.space]
            del headers[header]
            if not headers:
                del self._of_space[principal.space]

    def forget(self, space: str | None) -> None:
        """Forget all of a space; None for those of the administrator."""
        for header in self._of_space.pop(space, ()):
            del self.by_header[header]

    def clear(self) -> None:
        """Forget all."""
        self.by_header.clear()
        self._of_space.clear()
