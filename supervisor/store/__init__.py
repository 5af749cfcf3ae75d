"""What the server remembers: functions, versions, secrets and variables, in SQLite or PostgreSQL.

Reading order: ``records`` (what comes out), ``schema`` (tables), ``store`` (what can be asked),
``functions`` and ``values`` (queries), ``database`` (transactions), ``sealing``, ``migrate``.
"""

from supervisor.store.migrate import migrate
from supervisor.store.records import (
    Content,
    Deployment,
    Function,
    Kind,
    Page,
    SpaceValues,
    StaleWriteError,
    Value,
    Version,
)
from supervisor.store.sealing import Sealer, load_or_create_key
from supervisor.store.store import Store, open_store

__all__ = [
    "Content",
    "Deployment",
    "Function",
    "Kind",
    "Page",
    "Sealer",
    "SpaceValues",
    "StaleWriteError",
    "Store",
    "Value",
    "Version",
    "load_or_create_key",
    "migrate",
    "open_store",
]
