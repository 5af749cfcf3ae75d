"""Which functions a caller without a credential may reach: of all others nothing is looked up for one.

So an anonymous caller of a private function and of one that does not exist are answered by the same way, in
the same time, and cost the store nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Key = tuple[str, str]


class PublicNames:
    """Of one front; where it does not know (yet) it says that it may be so, and somebody looks."""

    def __init__(self) -> None:
        self._public: set[Key] | None = None
        # Changed since they were read, and how often any name was.
        self._unsure: set[Key] = set()
        self._changes: dict[Key, int] = {}

    def may_be(self, key: Key) -> bool:
        """Whether it is worth a look."""
        public = self._public
        return public is None or key in public or key in self._unsure

    def changed(self, key: Key) -> None:
        """It was deployed, deleted or made another's version."""
        self._unsure.add(key)
        self._changes[key] = self._changes.get(key, 0) + 1

    def found(self, key: Key, is_public: bool) -> None:
        """It was looked up, and has not changed since."""
        self._unsure.discard(key)
        if self._public is not None:
            (self._public.add if is_public else self._public.discard)(key)

    def begin(self) -> Mapping[Key, int]:
        """All names are about to be read: what to give to ``read`` then."""
        return dict(self._changes)

    def read(self, begun: Mapping[Key, int], public: Iterable[Key]) -> None:
        """All that were public at some moment since ``begin``."""
        self._public = set(public)
        self._unsure = {key for key in self._unsure if begun.get(key) != self._changes.get(key)}
