"""The versions of functions that a front has pools of, and what the aliases of those functions name.

Of most functions that is the active version alone.  A version that an alias names keeps its pool when the
function changes: a deploy, or another share of a canary, costs the callers of an alias no cold start.

Rule 1: what an alias or a number leads to is forgotten at each change, and made anew from the store.
Rule 2: a pool that a change leaves is settled by the next look-up: named again, or retired.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from supervisor.front.functions.function_entry import FunctionEntry
from supervisor.front.functions.traffic import Traffic
from supervisor.store import CalledAlias, FunctionKey

# A version's number, as a call may name it; no alias looks like one.
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
# So many numbers of a function that are no versions are remembered, or each call to one would cost a query.
ABSENT_MOST = 100


class VersionTable:
    """One front's."""

    def __init__(self) -> None:
        self._entries: dict[FunctionKey, dict[int, FunctionEntry]] = {}
        self._aliases: dict[FunctionKey, Mapping[str, CalledAlias]] = {}
        self._absent: dict[FunctionKey, set[int]] = {}
        # What ``NAME@QUALIFIER`` is, by function and qualifier; the gateway looks here first.
        self.traffic: dict[FunctionKey, dict[str, Traffic[FunctionEntry]]] = {}

    def all(self) -> list[tuple[FunctionKey, FunctionEntry]]:
        """Every version that has a pool here."""
        return [(key, entry) for key, entries in self._entries.items() for entry in entries.values()]

    def keys(self) -> set[FunctionKey]:
        """The functions of which something is remembered."""
        return {*self._entries, *self._aliases, *self._absent}

    def of(self, key: FunctionKey) -> Iterator[FunctionEntry]:
        """The versions of one function that have a pool here."""
        yield from self._entries.get(key, {}).values()

    def entry(self, key: FunctionKey, number: int) -> FunctionEntry | None:
        """A version, if it has a pool here."""
        return self._entries.get(key, {}).get(number)

    def aliases(self, key: FunctionKey) -> Mapping[str, CalledAlias]:
        """The aliases of a function that was looked up."""
        return self._aliases.get(key, {})

    def named(self, key: FunctionKey) -> set[int]:
        """The versions that the aliases of a function name."""
        return {number for alias in self.aliases(key).values() for number in alias.options}

    def numbers_of(self, key: FunctionKey, qualifier: str) -> tuple[int, ...]:
        """The versions that a qualifier stands for: one, or two with a canary; empty for none."""
        alias = self.aliases(key).get(qualifier)
        if alias is not None:
            found = (alias.version,) if alias.canary is None else (alias.version, alias.canary)
        elif NUMBER.fullmatch(qualifier):
            found = (int(qualifier),)
        else:
            return ()
        return () if self._absent.get(key, set()).intersection(found) else found

    def lead(self, key: FunctionKey, qualifier: str, entries: list[FunctionEntry]) -> Traffic[FunctionEntry]:
        """Remember what a qualifier leads to: the versions of ``numbers_of``."""
        alias = self.aliases(key).get(qualifier)
        if alias is None or alias.canary is None:
            made = Traffic(entries[0])
        else:
            salt = f"{entries[0].deployment.function_id}.{alias.canary}"
            made = Traffic(entries[0], entries[1], alias.share, salt)
        self.traffic.setdefault(key, {})[qualifier] = made
        return made

    def add(self, key: FunctionKey, entry: FunctionEntry) -> None:
        """Take a version in."""
        self._entries.setdefault(key, {})[entry.version] = entry

    def is_absent(self, key: FunctionKey, number: int) -> None:
        """Note that the store has no such version."""
        absent = self._absent.setdefault(key, set())
        if len(absent) >= ABSENT_MOST:
            absent.clear()
        absent.add(number)

    def changed(self, key: FunctionKey) -> list[FunctionEntry]:
        """Forget where names lead; returns the versions that no alias named, which are to be retired."""
        named = self.named(key)
        self._aliases.pop(key, None)
        return self._keep(key, named)

    def forget(self, key: FunctionKey) -> list[FunctionEntry]:
        """Forget the function; returns all its versions, which are to be retired."""
        self._aliases.pop(key, None)
        return self._keep(key, ())

    def settle(
        self, key: FunctionKey, active: FunctionEntry, aliases: Iterable[CalledAlias]
    ) -> list[FunctionEntry]:
        """Take what a look-up found; returns the versions that nothing names any more."""
        self._aliases[key] = {alias.name: alias for alias in aliases}
        owner = active.deployment.function_id
        left = [
            entry
            for entry in self.of(key)
            if entry is not active
            and (entry.deployment.function_id != owner or entry.version not in self.named(key))
        ]
        for entry in left:
            del self._entries[key][entry.version]
        self.add(key, active)
        return [entry for entry in left if entry is not active]

    def _keep(self, key: FunctionKey, numbers: Iterable[int]) -> list[FunctionEntry]:
        self.traffic.pop(key, None)
        self._absent.pop(key, None)
        entries = self._entries.pop(key, {})
        kept = {number: entries.pop(number) for number in set(numbers) & set(entries)}
        if kept:
            self._entries[key] = kept
        return list(entries.values())
