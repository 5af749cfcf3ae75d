"""Asks the store whose a key or an access token is, for a token that a front does not know yet.

Rule 1: a token whose checksum is wrong costs no question, and one that is nobody's costs one: it is
remembered.
Rule 2: what a change took back while its question ran is asked again.
Rule 3: a token that cannot be asked about is refused with a 503, never taken for wrong, never let in.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC
from typing import Literal, Protocol

from supervisor.errors import PlatformError
from supervisor.front.functions.single_flight import SingleFlight
from supervisor.front.invoke.callers.known_tokens import KnownTokens, spelled
from supervisor.store.credentials.credential_records import FoundCredential
from supervisor.tenancy.principal import Principal
from supervisor.tenancy.scopes import expanded
from supervisor.tenancy.token_format import kind_of, stored_digest

# Tokens of nobody that are remembered: some MiB.
NOBODYS_MOST = 10_000
# Threads that ask at once; calls of functions look theirs up in the others.
ASKING_MOST = 2
# Tokens that wait to be asked about, a few KiB each; one more is a 503.
WAITING_MOST = 256
# A question is asked again when a credential of the space was taken back meanwhile.
AGAIN_MOST = 20


class CredentialSource(Protocol):
    """The store, as it is asked (``store.credentials.credential_lookups``)."""

    def find(self, kind: Literal["key", "tok"], digest: str) -> FoundCredential | None:
        """Whose it is; blocks; PlatformError 503."""


class TokenLookups:
    """One front's; what it finds it adds to ``known``."""

    def __init__(self, source: CredentialSource, known: KnownTokens) -> None:
        self._source = source
        self._known = known
        self._nobodys: OrderedDict[str, None] = OrderedDict()
        self._flights = SingleFlight[str]()
        self._asking = asyncio.Semaphore(ASKING_MOST)
        self._waiting = 0
        # Changes are numbered; the last one of each space that had one, and the last of all spaces at once.
        self._changes = self._change_of_all = 0
        self._change_of: dict[str, int] = {}
        # Why no token can be looked up, "" while they can.
        self.cut_off = ""

    @staticmethod
    def wanted(token: bytes) -> bool:
        """Whether a token may be somebody's, so that it is worth a question."""
        return kind_of(token) in ("key", "tok")

    def is_nobodys(self, token: bytes) -> bool:
        """Whether the store has said so."""
        return stored_digest(token) in self._nobodys

    async def find(self, token: bytes) -> None:
        """Have a token that is wanted either known or nobody's.  PlatformError 503."""
        if self.cut_off:
            raise unchecked(self.cut_off)
        digest = stored_digest(token)
        if self._waiting >= WAITING_MOST:
            raise unchecked("too many tokens are looked up at once")
        self._waiting += 1
        try:
            await self._flights.of(digest, lambda: self._look_up(token, digest))
        finally:
            self._waiting -= 1

    def changed(self, space: str) -> None:
        """A credential of the space was taken back."""
        self._changes += 1
        self._change_of[space] = self._changes
        self._known.forget(space)

    def changed_somewhere(self) -> None:
        """Another server took one back, nobody knows whose."""
        self._changes += 1
        self._change_of_all = self._changes
        self._change_of.clear()
        self._known.clear()

    async def _look_up(self, token: bytes, digest: str) -> None:
        kind = kind_of(token)
        assert kind == "key" or kind == "tok"
        for _ in range(AGAIN_MOST):
            before = self._changes
            async with self._asking:
                found = await asyncio.to_thread(self._source.find, kind, digest)
            if found is None:
                self._nobodys[digest] = None
                if len(self._nobodys) > NOBODYS_MOST:
                    self._nobodys.popitem(last=False)
                return
            if max(self._change_of_all, self._change_of.get(found.space, 0)) <= before and not self.cut_off:
                self._known.add(spelled(token), principal_of(found))
                return
        raise unchecked(self.cut_off or "credentials of this space change all the time")


def principal_of(found: FoundCredential) -> Principal:
    """The caller that a credential stands for."""
    until = found.expires_at
    return Principal(
        found.name,
        found.space,
        expanded(found.grant.scopes),
        frozenset(found.grant.functions) or None,
        None if until is None else until.replace(tzinfo=UTC).timestamp(),
    )


def unchecked(why: str) -> PlatformError:
    """The 503 of a credential that may be right and cannot be looked up now."""
    return PlatformError(503, f"cannot check this credential: {why}; try again", headers={"Retry-After": "2"})
