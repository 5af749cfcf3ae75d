"""Whether the database of ``store_url`` can be reached and read; nothing in it is changed."""

from __future__ import annotations

from supervisor.errors import ConfigurationError, PlatformError
from supervisor.warden.audit import FAIL, PASS, AuditLine

WHAT = "store"


def look(url: str) -> AuditLine:
    """PASS with the schema that is there, or FAIL with the database's own words."""
    from supervisor.store import deadline_retries
    from supervisor.store.drivers import driver_of
    from supervisor.store.plain_reads import PlainReader

    try:
        reader = PlainReader(driver_of(url))
        try:
            revision = reader.revision()
        except PlatformError as error:
            raise deadline_retries.cannot_open(error) from error
        finally:
            reader.close()
    except ConfigurationError as error:
        found = " ".join(str(error).split())
        return AuditLine(FAIL, WHAT, found, "correct store_url, or see that its database runs")
    return AuditLine(PASS, WHAT, f"PostgreSQL, schema {revision or 'to be made'}")
