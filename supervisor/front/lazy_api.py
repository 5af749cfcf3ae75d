"""The API, imported when it is first asked for, or a while after the start.

FastAPI and SQLAlchemy, with what they bring, are more than half of what a front has to import (``make bench``
has the figure); a call of a function needs none of it, so after a restart calls are answered before.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

from supervisor.bundles.bundle_store import BundleStore
from supervisor.front.api_control import ApiControl
from supervisor.front.following.subscriptions import Subscriptions
from supervisor.front.invoke.credential import Credentials
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Sealer

# Until nobody has asked: by then the calls that a restart made wait have been answered.
AHEAD_SECONDS = 3.0


class LateApi:
    """An ASGI application like the one it stands for; who asks too early waits."""

    def __init__(
        self,
        store_url: str,
        sealer: Sealer,
        bundles: BundleStore,
        control: ApiControl,
        credentials: Credentials,
        subscriptions: Subscriptions,
        settings: Callable[[], FrontSettings],
    ) -> None:
        """``settings()`` are those in force at that moment."""
        self._parts: dict[str, Any] = {
            "store_url": store_url,
            "sealer": sealer,
            "bundles": bundles,
            "control": control,
            "credentials": credentials,
            "subscriptions": subscriptions,
        }
        self._settings = settings
        self._app: Any = None
        self._making: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.call_later(AHEAD_SECONDS, self._begin)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if self._app is None:
            # Shielded: the caller that asked first may hang up, the others still wait.
            await asyncio.shield(self._begin())
        await self._app(scope, receive, send)

    def retune(self, settings: FrontSettings) -> None:
        """Other settings from now on."""
        if self._app is not None:
            self._app.state.context.settings = settings

    def close(self) -> None:
        """Close the store, if it was opened; blocks."""
        if self._app is not None:
            self._app.state.context.store.close()

    def _begin(self) -> asyncio.Task[None]:
        # One that failed is tried again by the next who asks.
        is_failed = self._making is not None and self._making.done() and self._app is None
        if self._making is None or is_failed:
            self._making = self._loop.create_task(self._make())
        return self._making

    async def _make(self) -> None:
        # In a thread: calls go on meanwhile.
        self._app = await asyncio.to_thread(_build, settings=self._settings(), **self._parts)
        self.retune(self._settings())
        gc.freeze()  # it stays for good, like all that the start made


def _build(store_url: str, sealer: Sealer, **parts: Any) -> Any:
    from supervisor.front.api import build_api
    from supervisor.store.store import open_store

    return build_api(store=open_store(store_url, sealer), **parts)
