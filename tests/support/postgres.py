"""A real PostgreSQL server of our own, where its programs are installed: one folder, one socket.

It has a port of loopback only for servers under test, whose fronts are other users.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

DEADLINE_S = 60


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, ``None`` where PostgreSQL is not installed."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class Postgres:
    """A running server."""

    def __init__(self, folder: Path, control: Callable[[str], None], port: int = 0) -> None:
        """``control("start")`` and ``control("stop")`` are pg_ctl's."""
        self._folder = folder
        self._numbers = count()
        self.control = control
        self.port = port

    def url(self, database: str = "postgres") -> str:
        """The URL of a database on it."""
        port = f"&port={self.port}" if self.port else ""
        return f"postgresql://cellblock@/{database}?host={self._folder}{port}"

    def over_tcp(self, url: str, password: str) -> str:
        """The URL of the same database by its port."""
        database = url.partition("?")[0].rpartition("/")[2]
        return f"postgresql://cellblock:{password}@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(self._numbers)}"
        engine = sa.create_engine(
            sa.make_url(self.url()).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)


@contextmanager
def for_servers() -> Iterator[Postgres]:
    """A server that fronts reach, who are other users; skips the test where there is no PostgreSQL."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(folder, port) as server:
        yield server


@contextmanager
def running(bin_folder: Path, port: int = 0) -> Iterator[Postgres]:
    """A server that is ready, and gone with its files afterwards; with a ``port`` other users reach it."""
    # Not below pytest's folder: that one is closed to the user the server has to run as.
    folder = Path(tempfile.mkdtemp(prefix="cellblock-postgres-"))
    as_user: dict[str, int] = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid}

    def run(program: str, *arguments: str) -> None:
        with open(folder.with_suffix(".log"), "a+b") as log:
            subprocess.run(
                [bin_folder / program, *arguments],
                check=True,
                timeout=DEADLINE_S,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                extra_groups=[] if as_user else None,
                **as_user,
            )

    data = str(folder / "data")

    def control(action: str) -> None:
        more = ["-o", options] if action == "start" else ["-m", "immediate"]
        run("pg_ctl", "-D", data, "-w", *more, action)

    options = f"-c fsync=off -k {folder} -c listen_addresses={'127.0.0.1' if port else ''}"
    options += f" -p {port}" if port else ""
    if port:
        folder.chmod(0o755)
    try:
        run("initdb", "-D", data, "-U", "cellblock", "-A", "trust", "-E", "UTF8", "--no-sync")
        control("start")
        try:
            yield Postgres(folder, control, port)
        finally:
            control("stop")
    finally:
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink(missing_ok=True)
