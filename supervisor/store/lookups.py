"""What a call asks of the store: each question is one statement, through the database's own driver.

SQLAlchemy is not used, because a front would spend 210 ms of processor time on it before its first answer
(160 for the import, 50 for engine, dialect and first statement), and a restart takes 280 ms; the driver takes
1 ms.  Later a question costs 130 µs by SQLAlchemy Core and 16 µs by the driver.  Changes and lists of the
store go through ``store``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from supervisor.errors import ConfigurationError, PlatformError
from supervisor.store import deadline_retries
from supervisor.store.credentials.credential_lookups import CredentialLookups
from supervisor.store.drivers import driver_of
from supervisor.store.plain_reads import PlainReader
from supervisor.store.records import Deployment, SpaceValues
from supervisor.store.sealing import Sealer, SealingError

_ACTIVE = (
    "FROM functions JOIN versions"
    " ON versions.function_id = functions.id AND versions.number = functions.active"
)
_DEPLOYMENT = (
    "SELECT functions.id, versions.number, versions.digest, versions.template, versions.env, versions.options"
    f" {_ACTIVE} WHERE functions.space = ? AND functions.name = ?"
)
_OPTIONS = f"SELECT functions.space, functions.name, versions.options {_ACTIVE}"
_VALUES = "SELECT kind, name, sealed FROM space_values WHERE space = ?"
_ANYTHING = "SELECT id FROM functions LIMIT 1"
_BUNDLE = "SELECT upload, pieces FROM bundles WHERE digest = ?"
_PIECE = "SELECT content FROM bundle_pieces WHERE upload = ? AND number = ?"
_ANY_VALUE = "SELECT space, kind, name, sealed FROM space_values LIMIT 1"


def open_lookups(url: str, sealer: Sealer) -> Lookups:
    """Lookups in a store that ``migrate`` has prepared.

    ConfigurationError when it cannot be opened, or holds values that were sealed with another key.
    """
    lookups = Lookups(PlainReader(driver_of(url)), sealer)
    try:
        lookups.check_key()
    except PlatformError as error:
        lookups.close()
        raise deadline_retries.cannot_open(error) from error
    except ConfigurationError:
        lookups.close()
        raise
    return lookups


def holds_values(url: str) -> bool:
    """Whether a store has secrets or variables, which need the key that sealed them; PlatformError 503."""
    reader = PlainReader(driver_of(url))
    try:
        return bool(reader.rows(_ANY_VALUE))
    finally:
        reader.close()


class Lookups:
    """The active versions of functions, and the values of spaces; PlatformError 503 from any method.

    ``credentials`` says whose a key or a token is.

    Like its PlainReader it blocks, serves many threads at once, and belongs to the process that opened it.
    """

    def __init__(self, reader: PlainReader, sealer: Sealer) -> None:
        self._reader = reader
        self._sealer = sealer
        self.credentials = CredentialLookups(reader)

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()

    def check_key(self) -> None:
        """ConfigurationError when the key does not open the values in the store."""
        for space, kind, name, sealed in self._reader.rows(_ANY_VALUE):
            try:
                self._sealer.open(sealed, space=space, kind=kind, name=name)
            except SealingError as error:
                raise ConfigurationError(
                    f"{error}; restore the sealing.key that belongs to this store"
                ) from None

    def look(self) -> None:
        """Read anything, to see that the store can be read."""
        self._reader.look(_ANYTHING)

    def deployment(self, space: str, name: str) -> Deployment | None:
        """The active version of a function, ``None`` when there is no such function."""
        for identifier, number, digest, template, env, options in self._reader.rows(_DEPLOYMENT, space, name):
            return Deployment(
                function_id=identifier,
                space=space,
                name=name,
                version=number,
                digest=digest,
                template=template,
                env=self._reader.driver.json(env),
                options=self._reader.driver.json(options),
            )
        return None

    def options(self) -> tuple[tuple[str, str, Mapping[str, Any]], ...]:
        """Space, name and options of every function."""
        rows = self._reader.rows(_OPTIONS)
        return tuple((space, name, self._reader.driver.json(options)) for space, name, options in rows)

    def values(self, space: str) -> SpaceValues:
        """Every secret and variable of a space, opened: each cell of the space gets them.

        PlatformError 500 for a value that was sealed with another key, or altered.
        """
        found: dict[str, dict[str, Any]] = {"secret": {}, "variable": {}}
        for kind, name, sealed in self._reader.rows(_VALUES, space):
            found[kind][name] = self._sealer.open_value(sealed, space=space, kind=kind, name=name)
        return SpaceValues(found["secret"], found["variable"])

    def pieces_of(self, digest: str) -> Iterator[bytes] | None:
        """The pieces of a bundle, each read when it is asked for; None if the store has no such bundle.

        One that is deleted meanwhile ends early, and its reader finds that something is missing.
        """
        for upload, number in self._reader.rows(_BUNDLE, digest):
            return (
                bytes(content)
                for index in range(number)
                for (content,) in self._reader.rows(_PIECE, upload, index)
            )
        return None
