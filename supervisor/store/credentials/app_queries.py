"""The statements of apps, their secrets and their access tokens, each on the caller's connection."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from supervisor.errors import PlatformError, shown
from supervisor.store.credentials import credential_rows
from supervisor.store.credentials.credential_records import App, Grant
from supervisor.store.records import Page
from supervisor.store.schema import access_tokens, app_secrets, apps

# Of an app, at a time: a program keeps one until it expires; one that asks for each request is told.
TOKENS_MOST = 10_000
# A compared digest where there is no app: its caller waits as long as that of an app with a wrong secret.
_NOBODYS = "0" * 64


def create(connection: sa.Connection, space: str, name: str, grant: Grant, digest: str, now: datetime) -> App:
    """A new app with its first secret; PlatformError 409 for a name that is taken, 422 for one too many."""
    credential_rows.check_room(connection, apps, space, name, "app")
    app = App(str(ULID()), space, name, grant, now)
    connection.execute(
        apps.insert().values(client_id=app.client_id, **credential_rows.granted(space, name, grant, now))
    )
    _add_secret(connection, app.client_id, digest, now)
    return app


def find(connection: sa.Connection, space: str, client_id: str) -> App:
    """An app of a space; PlatformError 404."""
    row = connection.execute(
        sa.select(apps).where(apps.c.space == space, apps.c.client_id == client_id)
    ).one_or_none()
    if row is None:
        raise PlatformError(404, f"app not found: space {shown(space)} has no app {shown(client_id)}")
    return _app(row)


def page(
    connection: sa.Connection, space: str, limit: int, after: str | None, before: str | None
) -> Page[App]:
    """At most ``limit`` apps of a space in the order they were made."""
    return credential_rows.page(connection, apps, apps.c.client_id, space, limit, after, before, _app)


def delete(connection: sa.Connection, space: str, client_id: str) -> App:
    """Delete an app with its secrets and tokens; PlatformError 404."""
    app = find(connection, space, client_id)
    connection.execute(apps.delete().where(apps.c.client_id == client_id))
    return app


def rotate(
    connection: sa.Connection, space: str, client_id: str, digest: str, overlap: timedelta, now: datetime
) -> App:
    """Give an app another secret; of those before, the last one still works for ``overlap``."""
    app = find(connection, space, client_id)
    of_app = app_secrets.c.client_id == client_id
    # The one that a rotation before this has replaced ends now, or secrets would become many.
    ended = of_app & app_secrets.c.expires_at.is_not(None) if overlap else of_app
    connection.execute(app_secrets.delete().where(ended))
    connection.execute(app_secrets.update().where(of_app).values(expires_at=now + overlap))
    _add_secret(connection, client_id, digest, now)
    return app


def authenticated(connection: sa.Connection, client_id: str, digest: str, now: datetime) -> App | None:
    """The app whose secret this is; None for a wrong one, an expired one, and no such app alike."""
    row = connection.execute(sa.select(apps).where(apps.c.client_id == client_id)).one_or_none()
    is_live = app_secrets.c.expires_at.is_(None) | (app_secrets.c.expires_at > now)
    digests = connection.execute(
        sa.select(app_secrets.c.digest).where(app_secrets.c.client_id == client_id, is_live)
    ).scalars()
    is_right = False
    for known in (*digests, _NOBODYS):
        is_right |= hmac.compare_digest(known, digest)
    return _app(row) if is_right and row is not None else None


def issue(
    connection: sa.Connection, app: App, scopes: Sequence[str], digest: str, until: datetime, now: datetime
) -> bool:
    """Keep an access token of an app; False if the app was deleted meanwhile.

    PlatformError 429 if the app has too many that have not expired.
    """
    if not connection.execute(sa.select(apps.c.name).where(apps.c.client_id == app.client_id)).first():
        return False
    of_app = access_tokens.c.client_id == app.client_id
    connection.execute(access_tokens.delete().where(of_app, access_tokens.c.expires_at <= now))
    live = connection.execute(
        sa.select(sa.func.count()).select_from(access_tokens).where(of_app)
    ).scalar_one()
    if live >= TOKENS_MOST:
        first = connection.execute(
            sa.select(sa.func.min(access_tokens.c.expires_at)).where(of_app)
        ).scalar_one()
        raise PlatformError(
            429,
            f"the app has {TOKENS_MOST} access tokens that have not expired; use one until it expires",
            {"limit": TOKENS_MOST},
            {"Retry-After": str(max(1, int((first - now).total_seconds()) + 1))},
        )
    connection.execute(
        access_tokens.insert().values(
            digest=digest, client_id=app.client_id, created_at=now, scopes=list(scopes), expires_at=until
        )
    )
    return True


def owner_of_token(connection: sa.Connection, digest: str) -> str | None:
    """The client id of the app that an access token belongs to."""
    return connection.execute(
        sa.select(access_tokens.c.client_id).where(access_tokens.c.digest == digest)
    ).scalar_one_or_none()


def delete_token(connection: sa.Connection, digest: str) -> None:
    """Delete an access token."""
    connection.execute(access_tokens.delete().where(access_tokens.c.digest == digest))


def _add_secret(connection: sa.Connection, client_id: str, digest: str, now: datetime) -> None:
    connection.execute(
        app_secrets.insert().values(digest=digest, client_id=client_id, created_at=now, expires_at=None)
    )


def _app(row: sa.Row[Any]) -> App:
    return App(row.client_id, row.space, row.name, credential_rows.grant_of(row), row.created_at)
