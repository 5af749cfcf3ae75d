"""The REST API: functions, versions, secrets, variables and logs, described by ``/openapi.json``.

Not here: invoking a function (``front.invoke``), and health (``front.health``).

Reading order: ``gate`` (who enters), ``routes`` (a module a resource), ``context`` (what all routes use),
``deploys`` (what a deploy does), ``bundle_deletion``, ``space_deletion``, ``streaming`` (answers of logs),
``schemas``, ``json_value`` (what is valid), ``error_answers`` (the one shape of a refusal), ``option_words``
(what an option takes), ``openapi`` (the description and its page).
"""

from __future__ import annotations

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from supervisor import __version__
from supervisor.bundles.bundle_store import BundleStore
from supervisor.front.api import error_answers, openapi
from supervisor.front.api.bundle_deletion import collect_bundles
from supervisor.front.api.context import Context
from supervisor.front.api.gate import Gate, json_only
from supervisor.front.api.routes import (
    audit_routes,
    function_routes,
    log_routes,
    operator_routes,
    space_routes,
    value_routes,
    version_routes,
)
from supervisor.front.api_control import ApiControl
from supervisor.front.following.subscriptions import Subscriptions
from supervisor.front.invoke.credential import Credentials
from supervisor.settings.front_settings import FrontSettings
from supervisor.store.store import Store

__all__ = ["build_api", "collect_bundles"]


def build_api(
    *,
    store: Store,
    bundles: BundleStore,
    settings: FrontSettings,
    control: ApiControl,
    credentials: Credentials,
    subscriptions: Subscriptions,
) -> FastAPI:
    """The API as an ASGI application; it closes nothing that it is given.

    It answers everything but invoking and health, which the front answers before it.
    """
    app = FastAPIOffline(
        title="Cellblock",
        version=__version__,
        summary=openapi.SUMMARY,
        # The assets are the library's, the page is ours (``openapi``).
        docs_url=None,
        redoc_url=None,
        static_url=openapi.ASSETS,
        # By default the page would show the description to a validator on the internet.
        swagger_ui_parameters={"validatorUrl": None},
        # A redirect would be an answer outside the envelope; a trailing slash is a 404 like any other.
        redirect_slashes=False,
        dependencies=[Depends(json_only)],
        responses={"default": {"model": error_answers.ErrorEnvelope, "description": "Refused"}},
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context = Context(
        store=store, bundles=bundles, settings=settings, control=control, subscriptions=subscriptions
    )
    routes: list[APIRoute] = []
    for router in (
        space_routes.router,
        function_routes.router,
        version_routes.router,
        value_routes.router,
        operator_routes.router,
        log_routes.router,
        audit_routes.router,
    ):
        app.include_router(router)
        routes += [route for route in router.routes if isinstance(route, APIRoute)]
    error_answers.install(app, routes)
    openapi.install(app)
    app.add_middleware(
        Gate,
        credentials=credentials,
        source_max_bytes=settings.bundle_max_bytes,
        body_seconds=settings.body_seconds,
    )
    return app
