"""Which functions a caller without a credential may reach: no other name is looked up for such a caller.

So an anonymous caller of a private function and one of a function that does not exist get their answer the
same way, in the same time, and cost the store nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supervisor.store import FunctionKey


class PublicFunctions:
    """The public functions that one front knows of; where it is not sure, a caller's name is looked up."""

    def __init__(self) -> None:
        self._public: set[FunctionKey] | None = None  # None until all were read once
        self._unsure: set[FunctionKey] = set()  # changed since they were read
        self._changes: dict[FunctionKey, int] = {}  # how often each name changed

    def may_be(self, key: FunctionKey) -> bool:
        """Whether the function may be public, so that it is worth a look-up."""
        public = self._public
        return public is None or key in public or key in self._unsure

    def of_space(self, space: str) -> list[FunctionKey]:
        """The functions of a space that may be public, as far as they are known."""
        return [key for key in (self._public or set()) | self._unsure if key[0] == space]

    def changed(self, key: FunctionKey) -> None:
        """Note that the function was deployed, deleted or rolled back."""
        self._unsure.add(key)
        self._changes[key] = self._changes.get(key, 0) + 1

    def found(self, key: FunctionKey, is_public: bool) -> None:
        """Note what a look-up found, if the function has not changed since."""
        self._unsure.discard(key)
        if self._public is not None:
            (self._public.add if is_public else self._public.discard)(key)

    def begin(self) -> Mapping[FunctionKey, int]:
        """The mark to give to ``read``; taken before all names are read from the store."""
        return dict(self._changes)

    def read(self, begun: Mapping[FunctionKey, int], public: Iterable[FunctionKey]) -> None:
        """Take ``public``, all functions that the store had as public at some moment since ``begin``.

        Functions that changed since ``begin`` are unsure again, although a look-up may have found them.
        """
        self._public = set(public)
        self._unsure = {key for key, changes in self._changes.items() if begun.get(key) != changes}
