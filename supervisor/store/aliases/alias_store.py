"""Labels and aliases as the API uses them: each method is one transaction, and a change leaves its line.

``check`` looks at what is there, in the transaction of the change: it raises the PlatformError of a
precondition that does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from supervisor.store import function_queries
from supervisor.store.aliases import alias_queries, label_queries
from supervisor.store.database import Database
from supervisor.store.records import Actor, Alias, StoredFunction, Version, WantedAlias
from supervisor.store.tenants import audit_queries, space_queries

# The function, the alias as it is, and the versions that it shall name.
CheckAlias = Callable[[StoredFunction, Alias | None, Sequence[Version]], None]
CheckVersion = Callable[[StoredFunction, Version], None]


class AliasStore:
    """PlatformError 503 from any method when the database cannot be used within its deadline."""

    def __init__(self, db: Database, now: Callable[[], datetime], actor: Actor) -> None:
        self._db = db
        self._now = now
        self._actor = actor

    def of(self, space: str, name: str) -> tuple[StoredFunction, tuple[Alias, ...]]:
        """A function and all its aliases, by name; PlatformError 404."""

        def read(connection: sa.Connection) -> tuple[StoredFunction, tuple[Alias, ...]]:
            function = _function(connection, space, name)
            return function, alias_queries.of_function(connection, function.id)

        return self._db.read(read)

    def one(self, space: str, name: str, alias: str) -> tuple[StoredFunction, Alias]:
        """A function and one of its aliases; PlatformError 404 with the names that may be meant."""
        function, known = self.of(space, name)
        for found in known:
            if found.name == alias:
                return function, found
        raise alias_queries.not_found(name, alias, known)

    def put(
        self, space: str, name: str, wanted: WantedAlias, check: CheckAlias
    ) -> tuple[StoredFunction, Alias, bool]:
        """Make or replace an alias; the function, the alias, and whether it is new.

        PlatformError 404, or 422 for a version that the function does not have.
        """
        now = self._now()

        def put(connection: sa.Connection) -> tuple[StoredFunction, Alias, bool]:
            space_queries.require_for_change(connection, space, self._actor)
            function = _function(connection, space, name)
            before = _named(connection, function, wanted.name)
            numbers = [("version", wanted.version), ("canary.version", wanted.canary)]
            versions = [
                _version(connection, function, field, number)
                for field, number in numbers
                if number is not None
            ]
            check(function, before, versions)
            made = Alias(wanted.name, wanted.version, wanted.canary, wanted.share, now)
            alias_queries.put(connection, function.id, made, now)
            details = {"version": wanted.version, "canary": wanted.canary, "share": wanted.share / 100}
            self._audit(connection, now, space, "alias.update", f"{name}@{wanted.name}", details)
            return function, made, before is None

        return self._db.write(put)

    def delete(self, space: str, name: str, alias: str, check: CheckAlias) -> None:
        """Delete an alias; PlatformError 404."""
        now = self._now()

        def delete(connection: sa.Connection) -> None:
            space_queries.require_for_change(connection, space, self._actor)
            function = _function(connection, space, name)
            before = _named(connection, function, alias)
            if before is None:
                known = alias_queries.of_function(connection, function.id)
                raise alias_queries.not_found(name, alias, known)
            check(function, before, ())
            alias_queries.delete(connection, function.id, alias)
            self._audit(connection, now, space, "alias.delete", f"{name}@{alias}", {})

        self._db.write(delete)

    def version(self, space: str, name: str, number: int) -> tuple[StoredFunction, Version]:
        """A function and one of its versions, with its label; PlatformError 404."""
        return self._db.read(
            lambda connection: function_queries.version_to_roll_back_to(connection, space, name, number)
        )

    def put_label(
        self, space: str, name: str, number: int, label: str | None, check: CheckVersion
    ) -> tuple[StoredFunction, Version]:
        """Set, replace or (None) take away a version's label; the function and the version as it is now.

        PlatformError 404, or 409 if another version has the label.
        """
        now = self._now()

        def put(connection: sa.Connection) -> tuple[StoredFunction, Version]:
            space_queries.require_for_change(connection, space, self._actor)
            function, version = function_queries.version_to_roll_back_to(connection, space, name, number)
            check(function, version)
            if label is None:
                label_queries.delete(connection, function.id, number)
            else:
                label_queries.put(connection, function.id, name, number, label)
            action = "label.delete" if label is None else "label.update"
            self._audit(connection, now, space, action, name, {"version": number})
            return function, Version(number, version.content, version.created_at, label)

        return self._db.write(put)

    def deployed_by(self, space: str, name: str, number: int) -> str | None:
        """Who made a version the active one last, as the audit has it; None if it has forgotten."""
        return self._db.read(lambda connection: audit_queries.deployer(connection, space, name, number))

    def _audit(
        self,
        connection: sa.Connection,
        now: datetime,
        space: str,
        action: str,
        target: str,
        details: Mapping[str, Any],
    ) -> None:
        audit_queries.add(
            connection, self._actor, now, space=space, action=action, target=target, details=details
        )


def _function(connection: sa.Connection, space: str, name: str) -> StoredFunction:
    found = function_queries.find(connection, space, name)
    if found is None:
        raise function_queries.not_found(connection, space, name)
    return found


def _version(connection: sa.Connection, function: StoredFunction, field: str, number: int) -> Version:
    found = function_queries.version(connection, function, number)
    if found is None:
        raise alias_queries.no_version(field, function.name, number)
    return found


def _named(connection: sa.Connection, function: StoredFunction, alias: str) -> Alias | None:
    known = alias_queries.of_function(connection, function.id)
    return next((found for found in known if found.name == alias), None)
