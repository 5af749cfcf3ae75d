"""The statements of labels, each on the caller's connection: a row of ``versions`` itself never changes."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import exc

from supervisor.errors import PlatformError, shown
from supervisor.store.schema import version_labels


def put(connection: sa.Connection, function_id: str, name: str, number: int, label: str) -> None:
    """Set or replace the label of a version that there is; PlatformError 409 if another version has it."""
    of = version_labels.c.function_id == function_id
    holder = connection.execute(
        sa.select(version_labels.c.number).where(of, version_labels.c.label == label)
    ).scalar_one_or_none()
    if holder == number:
        return
    if holder is not None:
        raise PlatformError(
            409,
            f"version {holder} of {shown(name)} has the label {shown(label)} already; "
            "choose another, or take it from that version first",
            {"field": "label", "version": holder},
        )
    try:
        delete(connection, function_id, number)
        connection.execute(
            version_labels.insert().values(function_id=function_id, number=number, label=label)
        )
    except exc.IntegrityError:  # another server committed the same label, or deleted the version
        raise PlatformError(
            409, f"the label {shown(label)} of {shown(name)} was given by another; look at the versions"
        ) from None


def delete(connection: sa.Connection, function_id: str, number: int) -> None:
    """Take a version's label away, if it has one."""
    connection.execute(
        version_labels.delete().where(
            version_labels.c.function_id == function_id, version_labels.c.number == number
        )
    )
