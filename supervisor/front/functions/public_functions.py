"""Which functions a caller without a credential may reach: no other name is looked up for such a caller.

So an anonymous caller of a private function and one of a function that does not exist get their answer the
same way, in the same time, and cost the store nothing.  The same holds for an alias.  A version's number is
for callers with a credential only: an old version may have a fault that was mended since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supervisor.store import FunctionKey


class PublicFunctions:
    """The public functions that one front knows of; where it is not sure, a caller's name is looked up."""

    def __init__(self) -> None:
        self._public: set[FunctionKey] | None = None  # None until all were read once
        self._aliases: dict[FunctionKey, frozenset[str]] = {}  # those that lead to a public version
        self._unsure: set[FunctionKey] = set()  # changed since they were read
        self._changes: dict[FunctionKey, int] = {}  # how often each name changed

    def may_be(self, key: FunctionKey) -> bool:
        """Whether the function may be public, so that it is worth a look-up."""
        public = self._public
        return public is None or key in public or key in self._unsure

    def may_be_alias(self, key: FunctionKey, qualifier: str) -> bool:
        """The same for what a function is called by after its ``@``."""
        if qualifier.isdecimal():
            return False
        return self._public is None or key in self._unsure or qualifier in self._aliases.get(key, ())

    def of_space(self, space: str) -> list[FunctionKey]:
        """The functions of a space that may be public, as far as they are known."""
        return [key for key in (self._public or set()) | self._unsure if key[0] == space]

    def changed(self, key: FunctionKey) -> None:
        """Note that the function was deployed, deleted or rolled back."""
        self._unsure.add(key)
        self._changes[key] = self._changes.get(key, 0) + 1

    def found(self, key: FunctionKey, is_public: bool, aliases: Iterable[str] = ()) -> None:
        """Note what a look-up found, if the function has not changed since; ``aliases`` are public."""
        self._unsure.discard(key)
        self._aliases.pop(key, None)
        if found := frozenset(aliases):
            self._aliases[key] = found
        if self._public is not None:
            (self._public.add if is_public else self._public.discard)(key)

    def begin(self) -> Mapping[FunctionKey, int]:
        """The mark to give to ``read``; taken before all names are read from the store."""
        return dict(self._changes)

    def read(
        self,
        begun: Mapping[FunctionKey, int],
        public: Iterable[FunctionKey],
        aliases: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Take ``public``, all functions that the store had as public at some moment since ``begin``.

        ``aliases`` are all public ones, each with its space and function.

        Functions that changed since ``begin`` are unsure again, although a look-up may have found them.
        """
        self._public = set(public)
        named: dict[FunctionKey, set[str]] = {}
        for space, name, alias in aliases:
            named.setdefault((space, name), set()).add(alias)
        self._aliases = {key: frozenset(names) for key, names in named.items()}
        self._unsure = {key for key, changes in self._changes.items() if begun.get(key) != changes}
