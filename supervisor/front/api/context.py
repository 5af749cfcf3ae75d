"""What every route uses: stores, settings, threads for blocking work, tasks that outlive their caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, ParamSpec, TypeVar, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from supervisor.bundles.bundle_store import BundleStore
from supervisor.bundles.shadows import warnings_of
from supervisor.errors import PlatformError
from supervisor.front.api.bundle_deletion import BundleDeletion
from supervisor.front.api.space_deletion import SpaceDeletion
from supervisor.front.api_control import ApiControl
from supervisor.front.following.log_pages import ReadingThreads
from supervisor.front.following.subscriptions import Subscriptions
from supervisor.front.functions.deployed_limits import limits_in_force
from supervisor.front.invoke.credential import peer_of
from supervisor.function_limits import Limits, resolve
from supervisor.function_options import Options
from supervisor.settings.front_settings import FrontSettings
from supervisor.store import Actor, Content
from supervisor.store.store import Store
from supervisor.tenancy.principal import Principal

log = logging.getLogger(__name__)

# Versions whose warnings are remembered; a bundle never changes.
WARNINGS_KEPT = 2000
P = ParamSpec("P")
T = TypeVar("T")


class Context:
    """Made once by ``build_api``."""

    def __init__(
        self,
        *,
        store: Store,
        bundles: BundleStore,
        settings: FrontSettings,
        control: ApiControl,
        subscriptions: Subscriptions,
    ) -> None:
        self.store = store
        self.subscriptions = subscriptions
        self.reads = ReadingThreads(settings.logs_dir)
        self.bundles = bundles
        self.settings = settings
        self.control = control
        self.space_deletion = SpaceDeletion(store, bundles, control, settings.logs_dir)
        self._bundle_deletion = BundleDeletion(
            store, bundles, lambda: self.settings.versions_kept, settings.audit_keep_seconds
        )
        self._running: set[asyncio.Task[Any]] = set()
        self._warnings: dict[tuple[str, str], tuple[str, ...]] = {}

    async def blocking(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work``, which blocks, in a thread."""
        return await run_in_threadpool(work, *args, **kwargs)

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end even if the caller hangs up, so that what is stored is also announced."""
        return await asyncio.shield(self._start(work))

    def tidy(self) -> None:
        """Remove what nothing needs any more in the background, if it is time."""
        self._start(self.space_deletion.finish_all())
        if self._bundle_deletion.is_due():
            self._start(run_in_threadpool(self._bundle_deletion.collect))

    def check_limits(self, options: Options) -> Limits:
        """The limits that these options give; PlatformError 422 for one above a ceiling."""
        return resolve(options.named(), self.settings.defaults, self.settings.all_ceilings)

    def limits_in_force(self, named: dict[str, Any]) -> Limits:
        """The limits of stored options, under today's ceilings."""
        return limits_in_force(named, self.settings)

    async def warnings_of(self, content: Content) -> tuple[str, ...]:
        """The warnings about a version's bundle, which is looked at once."""
        key = content.digest, content.template
        known = self._warnings.get(key)
        if known is None:
            runtimes = self.control.runtimes()
            runtime = content.template if content.template in runtimes else runtimes[0]
            known = await self.blocking(self._looked_at, content.digest, runtime)
            if known is None:
                return ()
            if len(self._warnings) >= WARNINGS_KEPT:
                self._warnings.clear()
            self._warnings[key] = known
        return known

    def _looked_at(self, digest: str, runtime: str) -> tuple[str, ...] | None:
        try:
            return warnings_of(self.bundles.ensure(digest), runtime)
        except PlatformError as error:  # a list of functions shows the others, and this one without warnings
            log.warning("cannot look at bundle %s: %s", digest, error.message)
            return None

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._running.discard)
        return task


def _context(request: Request) -> Context:
    return cast(Context, request.app.state.context)


Given = Annotated[Context, Depends(_context)]


def _acting(request: Request) -> Store:
    principal = cast(Principal, request.state.principal)
    store = cast(Context, request.app.state.context).store
    return store.acting_for(Actor(principal.name, peer_of(request.scope)))


# The store, for changes: each leaves a line in the audit that names the caller.
Acting = Annotated[Store, Depends(_acting)]
