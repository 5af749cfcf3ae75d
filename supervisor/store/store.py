"""The store as the API uses it: each method is one transaction.

A method blocks, at most for the deadline of ``deadline_retries``; call it in a thread.  Many threads may use
a Store at once.  It belongs to the process that opened it.  Calls of functions ask ``lookups`` instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from supervisor.store import database, function_queries, value_queries
from supervisor.store.code import bundle_queries, bundle_uploads
from supervisor.store.records import (
    Actor,
    Content,
    Page,
    SpaceValue,
    StoredFunction,
    ValueKind,
    Version,
)
from supervisor.store.sealing import Sealer
from supervisor.store.tenants import audit_queries, space_queries
from supervisor.store.tenants.audit_store import AuditStore
from supervisor.store.tenants.space_store import SpaceStore

SERVER = Actor("server")


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def open_store(url: str, sealer: Sealer) -> Store:
    """A store that ``migrate`` has prepared, and whose key ``open_lookups`` has tried.

    ConfigurationError for a URL that cannot be used.  The first question opens the database.
    """
    return Store(database.connect(url), sealer)


class Store:
    """Functions, their versions and bundles, and the secrets and variables of spaces.

    PlatformError 503 from any method when the database cannot be used within its deadline.
    """

    def __init__(
        self,
        db: database.Database,
        sealer: Sealer,
        now: Callable[[], datetime] = _utc_now,
        actor: Actor = SERVER,
    ) -> None:
        self._db = db
        self._sealer = sealer
        self._now = now
        self._actor = actor
        self.spaces = SpaceStore(db, now, actor)
        self.audit = AuditStore(db, now, actor)

    def acting_for(self, actor: Actor) -> Store:
        """The same store, whose changes are ``actor``'s in the audit."""
        return Store(self._db, self._sealer, self._now, actor)

    def close(self) -> None:
        """Close the connections."""
        self._db.close()

    # Functions

    def function(self, space: str, name: str) -> StoredFunction:
        """A function; PlatformError 404."""

        def found(connection: sa.Connection) -> StoredFunction:
            one = function_queries.find(connection, space, name)
            if one is None:
                raise function_queries.not_found(connection, space, name)
            return one

        return self._db.read(found)

    def has_function(self, space: str, name: str) -> bool:
        """Whether the space has this function."""
        return self._db.read(lambda connection: function_queries.find(connection, space, name)) is not None

    def functions(
        self, space: str, limit: int, *, after: str | None = None, before: str | None = None
    ) -> Page[StoredFunction]:
        """At most ``limit`` functions of a space by name, from after or before a name."""
        return self._db.read(
            lambda connection: function_queries.page(connection, space, limit, after, before)
        )

    def create_function(
        self, space: str, name: str, content: Content, *, needs_bundle: bool = False
    ) -> StoredFunction:
        """A new function at version 1; PlatformError 409 when there is one of that name.

        With ``needs_bundle`` StaleWriteError when the store has no longer the bundle: put it again.
        """
        now = self._now()

        def create(connection: sa.Connection) -> StoredFunction:
            self._require_space(connection, space)
            if needs_bundle:
                bundle_queries.require(connection, content.digest)
            made = function_queries.create(connection, space, name, content, now)
            self._audit(connection, now, space, "function.create", name, {"version": 1})
            return made

        return self._db.write(create)

    def deploy(
        self,
        based_on: StoredFunction,
        content: Content,
        versions_kept: int,
        *,
        needs_bundle: bool = False,
    ) -> tuple[StoredFunction, bool]:
        """Make ``content`` the active version; the function, and whether a version was added for it.

        Of its versions the newest ``versions_kept`` stay.  ``based_on`` is the function that the content was
        merged and checked with: StaleWriteError when it has changed since, PlatformError 404 when it is gone.
        ``needs_bundle`` as in ``create_function``.
        """
        now = self._now()

        def deploy(connection: sa.Connection) -> tuple[StoredFunction, bool]:
            self._require_space(connection, based_on.space)
            if needs_bundle:
                bundle_queries.require(connection, content.digest)
            made, is_new = function_queries.deploy(connection, based_on, content, now, versions_kept)
            if is_new:
                number = {"version": made.active.number}
                self._audit(connection, now, made.space, "function.update", made.name, number)
            return made, is_new

        return self._db.write(deploy)

    def version_to_roll_back_to(
        self, space: str, name: str, number: int | None
    ) -> tuple[StoredFunction, Version]:
        """The function and its version ``number``; ``None`` means the one before the active version.

        PlatformError 404 when there is no such function or version, 409 when the active version is the first.
        """
        return self._db.read(
            lambda connection: function_queries.version_to_roll_back_to(connection, space, name, number)
        )

    def activate(self, based_on: StoredFunction, version: Version) -> StoredFunction:
        """Make an existing version the active one; StaleWriteError and 404 as with deploy."""
        now = self._now()

        def activate(connection: sa.Connection) -> StoredFunction:
            self._require_space(connection, based_on.space)
            made = function_queries.activate(connection, based_on, version, now)
            number = {"version": version.number}
            self._audit(connection, now, made.space, "function.activate", made.name, number)
            return made

        return self._db.write(activate)

    def delete_function(self, space: str, name: str) -> frozenset[str]:
        """Delete a function with all its versions; the digests that they named.  PlatformError 404."""
        now = self._now()

        def delete(connection: Any) -> frozenset[str]:
            self._require_space(connection, space)
            digests = function_queries.delete(connection, space, name)
            for digest in sorted(digests):  # a deploy of the same code may be about to be committed
                bundle_queries.touch(connection, digest, now)
            self._audit(connection, now, space, "function.delete", name)
            return digests

        return self._db.write(delete)

    def versions(
        self, space: str, name: str, limit: int, *, before: int | None = None
    ) -> tuple[StoredFunction, Page[Version]]:
        """At most ``limit`` versions, newest first, older than ``before``; PlatformError 404."""
        return self._db.read(
            lambda connection: function_queries.page_of_versions(connection, space, name, limit, before)
        )

    def digests(self) -> frozenset[str]:
        """The digest of every bundle that a version names."""
        return self._db.read(function_queries.digests)

    # Bundles

    def put_bundle(self, digest: str, pack: Callable[[Callable[[bytes], None]], None]) -> None:
        """Keep a bundle, unless it is there; ``pack`` gives its pieces.  A version may name it afterwards.

        PlatformError 507 when the disk is full.
        """
        bundle_uploads.put_bundle(self._db, digest, pack, self._now())

    def tidy(self, versions_kept: int, unused_s: float) -> tuple[str, ...]:
        """Delete what nothing needs: old versions, bundles that none names, pieces of broken uploads.

        A bundle and a piece stay until they were not used for ``unused_s``.  Returns the bundles' digests.
        """
        too_many = partial(function_queries.with_too_many, kept=versions_kept)
        for identifier in self._db.read(too_many):
            self._db.write(partial(function_queries.forget_old, identifier=identifier, kept=versions_kept))
        before = self._now() - timedelta(seconds=unused_s)
        deleted = self._db.write(partial(bundle_queries.delete_unused, before=before))
        uploads = self._db.read(partial(bundle_queries.unnamed_uploads, before=before))
        for upload in uploads:  # a transaction each, because one may have gigabytes
            self._db.write(partial(bundle_queries.delete_pieces, upload=upload))
        if uploads:
            self._db.give_back_space()
        return deleted

    # Secrets and variables

    def put_value(self, space: str, kind: ValueKind, name: str, value: Any) -> bool:
        """Set a secret (a str) or a variable (JSON); whether it is new.

        PlatformError 422 when the space would hold too much.  TypeError or ValueError for a value that is
        not JSON, which the API refuses before.
        """
        plain = value.encode() if kind == "secret" else _dumps(value)
        sealed = self._sealer.seal(plain, space=space, kind=kind, name=name)
        size = len(plain) + len(name)
        now = self._now()

        def put(connection: sa.Connection) -> bool:
            self._require_space(connection, space)
            is_new = value_queries.put(connection, space, kind, name, sealed, size, now)
            self._audit(connection, now, space, f"{kind}.update", name)
            return is_new

        return self._db.write(put)

    def value(self, space: str, kind: ValueKind, name: str) -> SpaceValue:
        """A secret without its value, or a variable with it; PlatformError 404."""

        def found(connection: sa.Connection) -> tuple[bytes, datetime]:
            one = value_queries.get(connection, space, kind, name)
            if one is None:
                raise value_queries.not_found(connection, space, kind, name)
            return one

        sealed, updated_at = self._db.read(found)
        return SpaceValue(name, updated_at, self._variable(space, kind, name, sealed))

    def list_values(self, space: str, kind: ValueKind) -> tuple[SpaceValue, ...]:
        """All secrets without their values, or all variables with them, by name."""
        rows = self._db.read(lambda connection: value_queries.listed(connection, space, kind))
        return tuple(
            SpaceValue(name, updated_at, self._variable(space, kind, name, sealed))
            for name, sealed, updated_at in rows
        )

    def delete_value(self, space: str, kind: ValueKind, name: str) -> None:
        """Delete a value; PlatformError 404."""
        now = self._now()

        def delete(connection: sa.Connection) -> None:
            self._require_space(connection, space)
            value_queries.delete(connection, space, kind, name)
            self._audit(connection, now, space, f"{kind}.delete", name)

        self._db.write(delete)

    def _require_space(self, connection: sa.Connection, space: str) -> None:
        """Every change of something in a space begins with this: rule 1 of ``space_queries``."""
        space_queries.require_for_change(connection, space, self._actor)

    def _audit(
        self,
        connection: sa.Connection,
        now: datetime,
        space: str,
        action: str,
        target: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        audit_queries.add(
            connection, self._actor, now, space=space, action=action, target=target, details=details
        )

    def _variable(self, space: str, kind: ValueKind, name: str, sealed: bytes) -> Any:
        if kind == "secret":  # write-only: nothing shows one again
            return None
        return self._sealer.open_value(sealed, space=space, kind=kind, name=name)


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
