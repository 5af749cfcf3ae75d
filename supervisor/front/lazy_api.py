"""Imports the API at its first request, or a while after the start.

FastAPI and SQLAlchemy with their dependencies are more than half of a front's imports (``make bench`` has the
figure).  A call of a function needs none of them, so after a restart calls are answered earlier.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping
from typing import Any

from supervisor.bundles.bundle_store import BundleStore
from supervisor.errors import PlatformError
from supervisor.front.api_control import ApiControl
from supervisor.front.following.subscriptions import Subscriptions
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.quotas.quota_table import QuotaTable
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Sealer

log = logging.getLogger("cellblock.front")

# Without a request the import begins this late: the calls that a restart made wait were answered by then.
AHEAD_SECONDS = 3.0
# So often it is looked whether it is time to tidy (``api.bundle_deletion``).
TIDY_LOOK_S = 60.0


class LazyApi:
    """The API as an ASGI application; requests wait until it is imported."""

    def __init__(
        self,
        store_url: str,
        sealer: Sealer,
        bundles: BundleStore,
        control: ApiControl,
        credentials: Credentials,
        subscriptions: Subscriptions,
        quotas: QuotaTable,
        settings: Callable[[], FrontSettings],
    ) -> None:
        """``settings()`` gives the settings in force."""
        self._parts: dict[str, Any] = {
            "store_url": store_url,
            "sealer": sealer,
            "bundles": bundles,
            "control": control,
            "credentials": credentials,
            "subscriptions": subscriptions,
            "quotas": quotas,
        }
        self._settings = settings
        self._app: Any = None
        self._making: asyncio.Task[None] | None = None
        self._noting: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.call_later(AHEAD_SECONDS, self._begin)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if self._app is None:
            # Shielded: the caller that asked first may hang up, the others still wait.
            await asyncio.shield(self._begin())
        await self._app(scope, receive, send)

    def retune(self, settings: FrontSettings) -> None:
        """Put other settings in force."""
        if self._app is not None:
            self._app.state.context.settings = settings

    def note_refused(self, refused: Mapping[str, int]) -> None:
        """Have wrong credentials noted in the audit: how many came from where within a minute."""
        if refused:
            # Kept, because the loop itself keeps only a weak reference; the last one is long done.
            self._noting = self._loop.create_task(self._note(refused))

    async def _note(self, refused: Mapping[str, int]) -> None:
        if self._app is None:
            await asyncio.shield(self._begin())
        store = self._app.state.context.store
        try:
            await asyncio.to_thread(store.credentials.note_refused, refused)
        except PlatformError as error:
            log.error("wrong tokens are not in the audit: %s", error)

    def close(self) -> None:
        """Close the API's store, if it was opened; blocks."""
        if self._app is not None:
            self._app.state.context.store.close()

    def _begin(self) -> asyncio.Task[None]:
        # After a failure the next request tries again.
        is_failed = self._making is not None and self._making.done() and self._app is None
        if self._making is None or is_failed:
            self._making = self._loop.create_task(self._make())
        return self._making

    async def _make(self) -> None:
        # In a thread, because calls go on meanwhile.
        self._app = await asyncio.to_thread(_build, settings=self._settings(), **self._parts)
        self.retune(self._settings())
        self._tidy()
        gc.freeze()  # the API stays for good, like all that the start made

    def _tidy(self) -> None:
        """Have what nothing needs any more deleted now and then, whether there are requests or not."""
        self._app.state.context.tidy()
        self._loop.call_later(TIDY_LOOK_S, self._tidy)


def _build(store_url: str, sealer: Sealer, **parts: Any) -> Any:
    from supervisor.front.api import build_api
    from supervisor.store.store import open_store

    return build_api(store=open_store(store_url, sealer), **parts)
