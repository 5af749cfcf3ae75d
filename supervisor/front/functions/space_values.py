"""What each function gets of its space's secrets and variables, encoded once for all its calls.

Functions that no list names get the same, which is there once for all of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping

from supervisor.front.functions.single_flight import SingleFlight
from supervisor.front.logs.masking import Masker
from supervisor.store import Lookups, SpaceValues
from worker import wire

log = logging.getLogger("cellblock.front")

# Where lists differ, each function has its own frame of up to 512 KiB.  Above this the space that has most is
# forgotten, and read again when it is called.
FRAMES_MOST_BYTES = 64 << 20
UNNAMED = ""  # stands for the functions that no list names


class EncodedValues:
    """A function's secrets and variables as a frame; ``revision`` tells two states of them apart.

    ``masker`` finds the secrets in what the function writes.
    """

    def __init__(self, revision: int, secrets: Mapping[str, str], variables: Mapping[str, object]) -> None:
        self.revision = revision
        self.secrets = secrets
        self.variables = variables
        body = json.dumps({"secrets": secrets, "variables": variables}).encode()
        self.frame = wire.encode(wire.VALUES, 0, (), (), len(body)) + body
        self.masker = Masker.of(secrets)

    def __repr__(self) -> str:
        return f"<EncodedValues revision {self.revision}>"  # secrets have no repr


class SpaceValuesTable:
    """The values of each space as of its last change; ``known`` are those that were encoded.

    ``known[space][function]`` is there for each function that was called since.
    """

    def __init__(self, store: Lookups) -> None:
        self.known: dict[str, dict[str, EncodedValues]] = {}
        self._store = store
        self._opened: dict[str, SpaceValues] = {}
        self._loads = SingleFlight[tuple[str, str]]()
        self._generation: dict[str, int] = {}
        self._revision = 0

    async def of(self, space: str, function: str) -> EncodedValues:
        """What the function gets, from the table or from the store."""
        while True:
            known = self.known.get(space, {}).get(function)
            if known is not None:
                return known
            await self._loads.of((space, function), lambda: self._load(space, function))

    def changed(self, space: str) -> None:
        """Forget the space's values: they changed in the store."""
        self._generation[space] = self._generation.get(space, 0) + 1
        self._forget(space)

    def deleted(self, space: str, function: str) -> None:
        """Forget a function, which changed or is gone."""
        self.known.get(space, {}).pop(function, None)

    def _forget(self, space: str) -> None:
        self.known.pop(space, None)
        self._opened.pop(space, None)

    async def _load(self, space: str, function: str) -> None:
        generation = self._generation.get(space, 0)
        opened = self._opened.get(space)
        if opened is None:
            opened = await asyncio.to_thread(self._store.values, space)
        if generation != self._generation.get(space, 0):
            return  # it changed meanwhile: whoever waits has it read again
        self._opened[space] = opened
        group = function if opened.has_list_for(function) else UNNAMED
        encoded = self.known.get(space, {}).get(group)
        if encoded is None:
            self._revision += 1
            encoded = await asyncio.to_thread(_encode, self._revision, opened, group)
        if generation != self._generation.get(space, 0):
            return
        of_space = self.known.setdefault(space, {})
        of_space[function] = of_space.setdefault(group, encoded)
        self._keep_within_bounds(space)

    def _keep_within_bounds(self, just_loaded: str) -> None:
        sizes = {space: _frame_bytes(of_space) for space, of_space in self.known.items()}
        while sum(sizes.values()) > FRAMES_MOST_BYTES and len(sizes) > 1:
            largest = max(sizes.keys() - {just_loaded}, key=sizes.__getitem__)
            log.info("the secrets and variables of space %s are read again when it is called", largest)
            self._forget(largest)
            del sizes[largest]


def _encode(revision: int, opened: SpaceValues, group: str) -> EncodedValues:
    given = opened.of(group)
    return EncodedValues(revision, given.secrets, given.variables)


def _frame_bytes(of_space: Mapping[str, EncodedValues]) -> int:
    return sum(len(encoded.frame) for encoded in {id(one): one for one in of_space.values()}.values())
