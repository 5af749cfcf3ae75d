"""Apps, keys and access tokens in the store: each method is one transaction, with its line in the audit.

A secret is given out once, by the method that makes it; the store has its digest.  What takes a credential
back counts the revision, by which other servers hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from supervisor.store.credentials import app_queries, credential_rows, key_queries
from supervisor.store.credentials.credential_records import App, Grant, SpaceKey
from supervisor.store.database import Database
from supervisor.store.records import Actor, Page
from supervisor.store.tenants import audit_queries, space_queries
from supervisor.tenancy.token_format import minted, stored_digest

# A client keeps a token in memory and gets the next one before this is over.
ACCESS_TOKEN_SECONDS = 3600


class ForeignTokenError(Exception):
    """An access token that belongs to another app than the one that revokes it."""


class CredentialStore:
    """Made by ``Store``; its methods block, and raise PlatformError 503 as the store's do."""

    def __init__(self, db: Database, now: Callable[[], datetime], actor: Actor) -> None:
        self._db = db
        self._now = now
        self._actor = actor

    # ---- apps

    def create_app(self, space: str, name: str, grant: Grant) -> tuple[App, str]:
        """A new app and its secret; PlatformError 409 or 422."""
        secret, now = minted("app"), self._now()

        def create(connection: sa.Connection) -> App:
            space_queries.require_for_change(connection, space, self._actor)
            app = app_queries.create(connection, space, name, grant, stored_digest(secret.encode()), now)
            self._audit(connection, space, "app.create", app.client_id, _told(name, grant))
            return app

        return self._db.write(create), secret

    def apps(
        self, space: str, limit: int, *, after: str | None = None, before: str | None = None
    ) -> Page[App]:
        """At most ``limit`` apps of a space."""
        return self._db.read(lambda connection: app_queries.page(connection, space, limit, after, before))

    def delete_app(self, space: str, client_id: str) -> None:
        """Delete an app; its secrets and access tokens are refused from now on.  PlatformError 404."""

        def delete(connection: sa.Connection) -> None:
            app = app_queries.delete(connection, space, client_id)
            credential_rows.taken_back(connection)
            self._audit(connection, space, "app.delete", client_id, {"name": app.name})

        self._db.write(delete)

    def rotate_app(self, space: str, client_id: str, overlap_s: int) -> tuple[App, str, datetime]:
        """Another secret for an app, and until when the one before works; PlatformError 404."""
        secret, now, overlap = minted("app"), self._now(), timedelta(seconds=overlap_s)
        digest = stored_digest(secret.encode())

        def rotate(connection: sa.Connection) -> App:
            space_queries.require_for_change(connection, space, self._actor)
            app = app_queries.rotate(connection, space, client_id, digest, overlap, now)
            self._audit(connection, space, "app.rotate", client_id, {"overlap_seconds": overlap_s})
            return app

        return self._db.write(rotate), secret, now + overlap

    def authenticated(self, client_id: str, secret: bytes) -> App | None:
        """The app with this id and secret, None for anything else."""
        now, digest = self._now(), stored_digest(secret)
        return self._db.read(lambda connection: app_queries.authenticated(connection, client_id, digest, now))

    def issue_token(self, app: App, scopes: Sequence[str]) -> str | None:
        """A new access token of an app, for ACCESS_TOKEN_SECONDS; None if the app is gone.

        PlatformError 429.
        """
        token, now = minted("tok"), self._now()
        digest = stored_digest(token.encode())
        until = now + timedelta(seconds=ACCESS_TOKEN_SECONDS)
        is_kept = self._db.write(
            lambda connection: app_queries.issue(connection, app, scopes, digest, until, now)
        )
        return token if is_kept else None

    def revoke_token(self, app: App, token: bytes) -> bool:
        """Whether this was an access token of the app; it is none any more.  ForeignTokenError."""
        digest = stored_digest(token)

        def revoke(connection: sa.Connection) -> bool:
            owner = app_queries.owner_of_token(connection, digest)
            if owner is None:
                return False
            if owner != app.client_id:
                raise ForeignTokenError
            app_queries.delete_token(connection, digest)
            credential_rows.taken_back(connection)
            self._audit(connection, app.space, "token.revoke", app.client_id)
            return True

        return self._db.write(revoke)

    # ---- keys

    def create_key(
        self, space: str, name: str, grant: Grant, expires_at: datetime | None
    ) -> tuple[SpaceKey, str]:
        """A new key, as a record and as its holder sends it; PlatformError 409 or 422."""
        secret, now = minted("key"), self._now()
        digest = stored_digest(secret.encode())

        def create(connection: sa.Connection) -> SpaceKey:
            space_queries.require_for_change(connection, space, self._actor)
            key = key_queries.create_key(connection, space, name, grant, digest, expires_at, now)
            until = None if expires_at is None else f"{expires_at.isoformat()}Z"
            self._audit(connection, space, "key.create", key.id, {**_told(name, grant), "expires_at": until})
            return key

        return self._db.write(create), secret

    def keys(
        self, space: str, limit: int, *, after: str | None = None, before: str | None = None
    ) -> Page[SpaceKey]:
        """At most ``limit`` keys of a space."""
        return self._db.read(
            lambda connection: key_queries.page_of_keys(connection, space, limit, after, before)
        )

    def delete_key(self, space: str, identifier: str) -> None:
        """Delete a key, which is refused from now on; PlatformError 404."""

        def delete(connection: sa.Connection) -> None:
            key = key_queries.delete_key(connection, space, identifier)
            credential_rows.taken_back(connection)
            self._audit(connection, space, "key.delete", identifier, {"name": key.name})

        self._db.write(delete)

    # ---- who was refused

    def note_refused(self, refused: Mapping[str, int]) -> None:
        """Lines in the audit for addresses, or clients, that sent so many wrong credentials."""

        def note(connection: sa.Connection) -> None:
            for source, number in refused.items():
                self._audit(connection, None, "credential.refused", source, {"times": number})

        self._db.write(note)

    def _audit(
        self,
        connection: sa.Connection,
        space: str | None,
        action: str,
        target: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        audit_queries.add(
            connection, self._actor, self._now(), space=space, action=action, target=target, details=details
        )


def _told(name: str, grant: Grant) -> dict[str, Any]:
    return {"name": name, "scopes": list(grant.scopes), "functions": list(grant.functions)}
