"""Where several servers share a store: hears that another one took a credential back, within a second.

The fronts of one server tell each other (``warden.change_rounds``); other servers count a revision in the
store, which is read here.  A server that cannot read it goes on with what it knows for ``credential_lease``.
After that it trusts no credential but its administrator's, whose token is not in the store, and public
functions go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from supervisor.front.invoke.callers.token_lookups import TokenLookups

log = logging.getLogger("cellblock.front")

# With the time of a question it stays below the second that is promised.
EVERY_S = 0.5
# A question that takes longer has failed, as far as the lease is concerned; the thread goes on.
ANSWER_S = 2.0
CUT_OFF = "the store cannot be reached, and what was known of it is too old"


class CredentialWatch:
    """One front's."""

    def __init__(
        self, revision: Callable[[], int], lookups: TokenLookups, lease: Callable[[], float]
    ) -> None:
        """``revision`` blocks; ``lease()`` is the setting in force."""
        self._revision = revision
        self._lookups = lookups
        self._lease = lease
        self._last: int | None = None
        self._read_at = asyncio.get_running_loop().time()
        self._task: asyncio.Task[None] | None = None
        # The question that runs, and when it began.
        self._question: tuple[asyncio.Task[int], float] | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def end(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Read the revision once, and draw the consequences."""
        loop = asyncio.get_running_loop()
        if self._question is None:  # one at a time, however long it takes
            self._question = loop.create_task(asyncio.to_thread(self._revision)), loop.time()
        question, asked_at = self._question
        done, _ = await asyncio.wait({question}, timeout=ANSWER_S)
        if done:
            self._question = None
            if question.exception() is None:
                self._read(question.result(), asked_at)
                return
        if not self._lookups.cut_off and loop.time() - self._read_at > self._lease():
            log.error("no credential of a space is trusted any more: %s", CUT_OFF)
            self._lookups.cut_off = CUT_OFF
            self._lookups.changed_somewhere()

    def _read(self, revision: int, asked_at: float) -> None:
        self._read_at = asked_at
        if self._lookups.cut_off:
            log.warning("credentials of spaces are trusted again: the store can be reached")
            self._lookups.cut_off = ""
        if self._last is not None and revision != self._last:
            self._lookups.changed_somewhere()
        self._last = revision
