"""A Control without processes: it compiles bundles as a cell would, and keeps what it was told."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from supervisor.bundles.bundle_store import BundleStore
from supervisor.errors import PlatformError
from supervisor.front.api_control import BundleCheck, Standing
from supervisor.front.telemetry.survey import Survey


class FakeControl:
    """Honest about bundles; ``told`` lists announcements, ``fails`` makes every request a 503."""

    def __init__(self, bundles: BundleStore, runtimes: tuple[str, ...] = ("python3.11", "python3.9")) -> None:
        self._bundles = bundles
        self._runtimes = runtimes
        self.told: list[tuple[str, ...]] = []
        self.checked: list[tuple[str, str]] = []
        # What a ``Standing`` is made of.
        self.running: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.fails = False
        # What the front itself does on hearing of a change.
        self.on_changed: dict[str, Callable[[str], None]] = {}

    async def check_bundle(self, template: str, digest: str) -> BundleCheck:
        """The syntax and the entry point of handler.py, by parsing it and never running it."""
        self._reach()
        self.checked.append((template, digest))
        try:
            module = ast.parse((self._bundles.path(digest) / "handler.py").read_bytes())
        except SyntaxError as error:
            return BundleCheck(False, f"SyntaxError at line {error.lineno}: {error.msg}", error.lineno)
        defined = {
            node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for entry in ("handle", "handle_async"):
            if entry in defined:
                return BundleCheck(True, entry=entry)
        return BundleCheck(False, "handler.py defines no function handle(req)")

    async def function_changed(self, space: str, name: str) -> None:
        """Kept in ``told``."""
        self._reach()
        self.told.append(("function", space, name))

    async def function_deleted(self, space: str, name: str) -> None:
        """The same."""
        await self.function_changed(space, name)

    async def values_changed(self, space: str) -> None:
        """Kept in ``told``."""
        self._reach()
        self.told.append(("values", space))

    async def changed(self, what: str, space: str) -> None:
        """Kept in ``told``."""
        self._reach()
        self.told.append((what, space))
        if handler := self.on_changed.get(what):
            handler(space)

    async def standing(self, space: str, name: str, version: int) -> Standing:
        """What ``running`` says, else none."""
        return Standing(*self.running.get((space, name), (0, 0)))

    def runtimes(self) -> tuple[str, ...]:
        """As given."""
        return self._runtimes

    async def survey(self, space: str) -> Survey:
        """Nothing goes on."""
        self._reach()
        return Survey(fronts=1)

    async def renew_zygotes(self) -> list[str]:
        """Kept in ``told``."""
        self._reach()
        self.told.append(("zygotes",))
        return list(self._runtimes)

    def _reach(self) -> None:
        if self.fails:
            raise PlatformError(503, "no cell can be had; try again", headers={"Retry-After": "1"})
