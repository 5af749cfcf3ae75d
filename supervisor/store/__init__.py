"""The store: functions, versions, their code, secrets and variables, in SQLite or PostgreSQL.

Not here: code on disk (``supervisor.bundles``), and what a front remembers of the store
(``front.functions``).

Reading order: ``records`` (what comes out), ``schema`` (the tables), ``store`` (each question and change one
transaction), ``function_queries`` and ``value_queries`` (their statements), ``database`` (transactions by
SQLAlchemy).  A call asks through ``lookups`` instead, which goes by ``plain_reads`` and ``drivers`` and needs
no SQLAlchemy.  Both ways share ``deadline_retries`` and ``sealing``.  ``migrate`` makes the tables, from the
revisions in ``migrations``.  ``code`` keeps bundles, ``backup`` makes files of stores and stores of files;
``tenants`` has spaces and the audit.

This package imports no SQLAlchemy: import ``Store`` from ``supervisor.store.store``.
"""

from supervisor.store.deadline_retries import errors_so_far
from supervisor.store.lookups import Lookups, open_lookups
from supervisor.store.migrate import migrate
from supervisor.store.records import (
    Actor,
    AuditLine,
    Content,
    Deployment,
    FunctionKey,
    Page,
    SpaceRecord,
    SpaceValue,
    SpaceValues,
    StaleWriteError,
    StoredFunction,
    ValueKind,
    Version,
)
from supervisor.store.sealing import Sealer, load_or_create_key

__all__ = [
    "Actor",
    "AuditLine",
    "Content",
    "Deployment",
    "FunctionKey",
    "Lookups",
    "Page",
    "Sealer",
    "SpaceRecord",
    "SpaceValue",
    "SpaceValues",
    "StaleWriteError",
    "StoredFunction",
    "ValueKind",
    "Version",
    "errors_so_far",
    "load_or_create_key",
    "migrate",
    "open_lookups",
]
