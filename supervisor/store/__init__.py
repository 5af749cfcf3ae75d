"""What the server remembers: functions, versions, secrets and variables, in SQLite or PostgreSQL.

Reading order: ``records`` (what comes out), ``schema`` (tables), ``store`` (what can be asked),
``functions`` and ``values`` (queries), ``database`` (transactions), ``lookups`` (what a call asks),
``reader``, ``drivers``, ``attempts`` (the deadlines of both ways), ``sealing``, ``migrate``.

Nothing that is imported here imports SQLAlchemy: ``Store`` is to be had from ``supervisor.store.store``.
"""

from supervisor.store.lookups import Lookups, open_lookups
from supervisor.store.migrate import migrate
from supervisor.store.records import (
    Content,
    Deployment,
    Function,
    FunctionKey,
    Kind,
    Page,
    SpaceValues,
    StaleWriteError,
    Value,
    Version,
)
from supervisor.store.sealing import Sealer, load_or_create_key

__all__ = [
    "Content",
    "Deployment",
    "Function",
    "FunctionKey",
    "Kind",
    "Lookups",
    "Page",
    "Sealer",
    "SpaceValues",
    "StaleWriteError",
    "Value",
    "Version",
    "load_or_create_key",
    "migrate",
    "open_lookups",
]
