"""Whose a key or an access token is, asked by a front that does not know it yet; see ``store.lookups``."""

from __future__ import annotations

from typing import Literal

from supervisor.store.credentials.credential_records import FoundCredential, Grant
from supervisor.store.plain_reads import PlainReader

_KEY = "SELECT id, space, scopes, functions, expires_at FROM space_keys WHERE digest = ?"
_TOKEN = (
    "SELECT apps.client_id, apps.space, access_tokens.scopes, apps.functions, access_tokens.expires_at"  # noqa: S105
    " FROM access_tokens JOIN apps ON apps.client_id = access_tokens.client_id"
    " WHERE access_tokens.digest = ?"
)
_QUERIES = {"key": ("key", _KEY), "tok": ("app", _TOKEN)}
_REVISION = "SELECT number FROM revisions WHERE kind = 'credentials'"


class CredentialLookups:
    """By the store's PlainReader: it blocks, and raises PlatformError 503."""

    def __init__(self, reader: PlainReader) -> None:
        self._reader = reader

    @property
    def is_shared(self) -> bool:
        """Whether other servers may change the credentials of this store."""
        return self._reader.driver.is_shared

    def find(self, kind: Literal["key", "tok"], digest: str) -> FoundCredential | None:
        """Whose it is, also if it has expired; None if it is nobody's."""
        whose, query = _QUERIES[kind]
        driver = self._reader.driver
        for identifier, space, scopes, functions, expires_at in self._reader.rows(query, digest):
            return FoundCredential(
                f"{whose}:{identifier}",
                space,
                Grant(tuple(driver.json(scopes)), tuple(driver.json(functions))),
                None if expires_at is None else driver.moment(expires_at),
            )
        return None

    def revision(self) -> int:
        """How often a credential was taken back."""
        return int(self._reader.rows(_REVISION)[0][0])
