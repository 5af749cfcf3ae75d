"""Migrations, transactions, and what SQLite is asked for."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from supervisor.errors import ConfigurationError
from supervisor.store import Sealer, database, migrate, open_lookups, value_queries
from supervisor.store.migrate import HEAD, MIGRATIONS
from supervisor.store.schema import metadata
from supervisor.store.store import open_store
from tests.support.stores import FIRST, KEY, at_once, executed, refusal


def test_the_migrations_make_the_tables_that_the_code_uses(url):
    migrate(url)
    db = database.connect(url)
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    db.close()


def test_migrating_again_changes_nothing(url, opened):
    opened().create_function("demo", "hello", FIRST)
    migrate(url)
    assert opened().function("demo", "hello").active.number == 1


@pytest.mark.slow
def test_servers_that_migrate_at_once_do_not_disturb_each_other(url):
    assert at_once(*(lambda: migrate(url) for _ in range(6))) == [None] * 6


def test_a_store_of_a_newer_server_is_not_touched(url):
    migrate(url)
    executed(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="newer server"):
        migrate(url)


def test_the_head_that_the_code_names_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_what_was_committed_survives_a_reopening(opened):
    one = opened()
    one.create_function("demo", "hello", FIRST)
    one.close()
    assert opened().function("demo", "hello").active.content == FIRST


@pytest.mark.promise("S34")
@pytest.mark.slow
def test_what_was_answered_survives_a_kill_right_after(url):
    migrate(url)
    script = (
        "import os, signal, sys\n"
        "from supervisor.store import Content, Sealer\n"
        "from supervisor.store.store import open_store\n"
        f"store = open_store(sys.argv[1], Sealer({KEY!r}))\n"
        "store.create_function('demo', 'hello', Content('a' * 64, 'python3-http', '', {}, {}))\n"
        "store.put_value('demo', 'secret', 'TOKEN', 'kept')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, url], timeout=60)
    assert ended.returncode == -signal.SIGKILL
    lookups = open_lookups(url, Sealer(KEY))
    assert lookups.deployment("demo", "hello").version == 1
    assert lookups.values("demo").secrets == {"TOKEN": "kept"}
    lookups.close()


def test_a_failing_transaction_leaves_nothing(store, url):
    def half(connection: sa.Connection) -> None:
        sealed = value_queries.SealedValue(b"x", "k", 1)
        value_queries.put(connection, "s", "secret", "n", sealed, None, datetime(2020, 1, 1))
        raise RuntimeError("half way")

    db = database.connect(url)
    with pytest.raises(RuntimeError, match="half way"):
        db.write(half)
    db.close()
    assert store.list_values("s", "secret") == ()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://root:hush@host/db",
        "postgresql+asyncpg://h/d",
        "postgresql://u:hush@[h/d",
        "sqlite://relative/path.db",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_its_password(bad):
    with pytest.raises(ConfigurationError) as caught:
        migrate(bad)
    assert "hush" not in str(caught.value)


def test_a_sqlite_commit_is_on_disk_and_readers_do_not_wait_for_it(file):
    db = database.connect(f"sqlite:///{file}")
    asked = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    found = db.read(
        lambda connection: {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked}
    )
    db.close()
    assert found == asked


def test_only_the_owner_can_read_a_sqlite_store(file):
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_store_that_somebody_holds_is_a_503_within_the_deadline_and_fine_afterwards(file, impatient):
    store = open_store(f"sqlite:///{file}", Sealer(KEY))
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    refused = refusal(lambda: store.create_function("demo", "hello", FIRST))
    assert (refused.status, refused.headers) == (503, {"Retry-After": "1"})
    assert not store.has_function("demo", "hello")  # readers are not held up
    holder.execute("ROLLBACK")
    holder.close()
    assert store.create_function("demo", "hello", FIRST).active.number == 1
    store.close()


def test_a_writer_waits_for_another_one_and_then_succeeds(file):
    store = open_store(f"sqlite:///{file}", Sealer(KEY))
    holder = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.1, holder.execute, ("COMMIT",))
    release.start()
    assert store.create_function("demo", "hello", FIRST).active.number == 1
    release.join(10)
    holder.close()
    store.close()


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere"):
        migrate(f"sqlite:///{tmp_path}/nowhere/cellblock.db")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "cellblock.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(ConfigurationError, match="not a database"):
        migrate(f"sqlite:///{path}")
    assert path.read_bytes() == b"not a database " * 100
