"""The secrets and variables of spaces, encoded once for all calls that take them along."""

from __future__ import annotations

import asyncio
import json

from supervisor.front.functions.single_flight import SingleFlight
from supervisor.store import Lookups
from worker import wire


class EncodedValues:
    """A space's secrets and variables as a frame; ``revision`` tells two states of them apart."""

    def __init__(self, revision: int, secrets: dict[str, str], variables: dict[str, object]) -> None:
        self.revision = revision
        self.secrets = secrets
        self.variables = variables
        body = json.dumps({"secrets": secrets, "variables": variables}).encode()
        self.frame = wire.encode(wire.VALUES, 0, (), (), len(body)) + body

    def __repr__(self) -> str:
        return f"<EncodedValues revision {self.revision}>"  # secrets have no repr


class SpaceValuesTable:
    """The values of each space as of its last change; ``known`` are those that were loaded."""

    def __init__(self, store: Lookups) -> None:
        self.known: dict[str, EncodedValues] = {}
        self._store = store
        self._loads = SingleFlight[str]()
        self._generation: dict[str, int] = {}
        self._revision = 0

    async def of(self, space: str) -> EncodedValues:
        """The space's values, from the table or from the store."""
        while True:
            known = self.known.get(space)
            if known is not None:
                return known
            await self._loads.of(space, lambda: self._load(space))

    def changed(self, space: str) -> None:
        """Forget the space's values: they changed in the store."""
        self._generation[space] = self._generation.get(space, 0) + 1
        self.known.pop(space, None)

    async def _load(self, space: str) -> None:
        generation = self._generation.get(space, 0)
        opened = await asyncio.to_thread(self._store.values, space)
        if generation == self._generation.get(space, 0):
            self._revision += 1
            self.known[space] = EncodedValues(self._revision, dict(opened.secrets), dict(opened.variables))
