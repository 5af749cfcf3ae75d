"""What is read on the path of a call, without SQLAlchemy: on both databases what the store wrote."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import psycopg
import pytest
import sqlalchemy as sa

from supervisor.errors import ConfigurationError, PlatformError
from supervisor.store import Sealer, deadline_retries, migrate, open_lookups
from supervisor.store.drivers import driver_of
from supervisor.store.plain_reads import PlainReader
from tests.support.stores import FIRST, KEY, SECOND, at_once, executed, refusal

WRITES = 40


def test_what_the_store_writes_the_lookups_read(store, lookups):
    content = FIRST._replace(
        env={"A": "ü%s?"}, options={"timeout": 2.5, "public": True, "min_instances": None}
    )
    made = store.create_function("demo", "hello", content)
    store.create_function("other", "hello", SECOND)
    found = lookups.deployment("demo", "hello")
    assert (found.function_id, found.space, found.name, found.version) == (made.id, "demo", "hello", 1)
    assert (found.digest, found.template) == (content.digest, content.template)
    assert (found.env, found.options) == (content.env, content.options)
    assert sorted(lookups.options()) == [
        ("demo", "hello", content.options),
        ("other", "hello", SECOND.options),
    ]
    store.deploy(made, SECOND, 20)
    assert lookups.deployment("demo", "hello").digest == SECOND.digest
    store.delete_function("demo", "hello")
    assert lookups.deployment("demo", "hello") is None
    assert lookups.options() == (("other", "hello", SECOND.options),)


@pytest.mark.parametrize("hostile", ["' OR 1=1 --", "%s", "?", "é\U0001f40d"])
def test_a_name_is_never_part_of_a_statement(store, lookups, hostile):
    store.create_function("demo", "hello", FIRST)
    assert lookups.deployment("demo", hostile) is None
    assert lookups.values(hostile).secrets == {}


@pytest.mark.slow
def test_every_answer_is_of_one_moment_while_another_process_writes(url, store, lookups):
    store.create_function("demo", "hello", FIRST._replace(digest=f"{1:064x}", env={"N": "1"}))
    script = (
        "import sys\n"
        "from supervisor.store import Content, Sealer\n"
        "from supervisor.store.store import open_store\n"
        f"store = open_store(sys.argv[1], Sealer({KEY!r}))\n"
        f"for n in range(2, {WRITES + 1}):\n"
        "    content = Content(f'{n:064x}', 'python3-http', '', {'N': str(n)}, {})\n"
        "    store.deploy(store.function('demo', 'hello'), content, 20)\n"
        "store.close()\n"
    )
    seen: list[list[int]] = [[], []]
    with subprocess.Popen([sys.executable, "-c", script, url]) as writer:

        def reader(numbers: list[int]) -> None:
            is_last = False
            while not is_last:
                is_last = writer.poll() is not None  # what is read from now on is the end
                found = lookups.deployment("demo", "hello")
                assert (found.digest, found.env) == (f"{found.version:064x}", {"N": str(found.version)})
                numbers.append(found.version)

        assert at_once(*(lambda numbers=numbers: reader(numbers) for numbers in seen)) == [None, None]
        assert writer.wait(60) == 0
    for numbers in seen:
        assert numbers == sorted(numbers)
        assert (numbers[-1], len(set(numbers)) > 1) == (WRITES, True)


def test_many_threads_share_a_few_connections(url, store, monkeypatch):
    monkeypatch.setattr(deadline_retries, "POOL_SIZE", 2)
    store.create_function("demo", "hello", FIRST)
    with closing(open_lookups(url, Sealer(KEY))) as lookups:
        found = at_once(*(lambda: lookups.deployment("demo", "hello") for _ in range(12)))
    assert {one.digest for one in found} == {FIRST.digest}


def test_who_gets_no_connection_in_time_is_told_to_try_again(url, monkeypatch):
    monkeypatch.setattr(deadline_retries, "POOL_SIZE", 0)
    monkeypatch.setattr(deadline_retries, "POOL_WAIT_S", 0.01)
    refused = refusal(lambda: PlainReader(driver_of(url)).rows("SELECT 1"))
    assert (refused.status, refused.headers) == (503, {"Retry-After": "1"})


def test_lookups_cannot_write(url, store):
    store.create_function("demo", "hello", FIRST)
    with closing(PlainReader(driver_of(url))) as reader:
        assert reader.rows("SELECT name FROM functions") == [("hello",)]
        assert refusal(lambda: reader.rows("DELETE FROM functions")).status == 503
    assert store.has_function("demo", "hello")


def test_closed_lookups_can_be_asked_again(store, lookups):
    store.create_function("demo", "hello", FIRST)
    for _ in range(2):
        lookups.close()
        assert lookups.deployment("demo", "hello").version == 1


def test_a_store_that_nobody_has_set_up_has_no_revision_and_is_not_opened(url):
    driver = driver_of(url)
    driver.make_file()
    with closing(PlainReader(driver)) as reader:
        assert reader.revision() is None
    with pytest.raises(ConfigurationError, match=r"cannot open the store: .*space_values"):
        open_lookups(url, Sealer(KEY))


# What goes wrong with a file


def test_a_file_that_is_locked_is_a_503_within_the_deadline_and_fine_afterwards(file, impatient):
    lookups = open_lookups(f"sqlite:///{file}", Sealer(KEY))
    lookups.close()
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    refused = refusal(lambda: lookups.deployment("demo", "hello"))
    assert (refused.status, refused.headers) == (503, {"Retry-After": "1"})
    assert "busy" in refused.message
    holder.close()
    assert lookups.deployment("demo", "hello") is None
    lookups.close()


def test_a_file_that_is_missing_is_neither_opened_nor_made(tmp_path):
    with pytest.raises(ConfigurationError, match="unable to open"):
        open_lookups(f"sqlite:///{tmp_path}/cellblock.db", Sealer(KEY))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_breaks_while_it_is_open_is_a_503(file):
    with closing(open_lookups(f"sqlite:///{file}", Sealer(KEY))) as lookups:
        file.write_bytes(b"not a database " * 10_000)
        lookups.close()
        assert refusal(lambda: lookups.deployment("demo", "hello")).status == 503


@pytest.mark.parametrize("name", ["a b.db", "100%41.db", "what?mode=memory.db", "#1.db"])
def test_any_name_of_a_file_is_a_name_of_that_file(tmp_path, name):
    url = f"sqlite:///{tmp_path}/{name}"
    migrate(url)
    open_lookups(url, Sealer(KEY)).close()
    assert (tmp_path / name).stat().st_size > 0


def test_a_store_that_somebody_took_out_of_wal_mode_is_put_back_into_it(file):
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    migrate(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_a_crash_left_half_written_before_wal_mode_was_on_is_undone(tmp_path):
    half = tmp_path / "half.db"
    with closing(sqlite3.connect(half, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size=1")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("BEGIN")
        writer.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
            " INSERT INTO t SELECT zeroblob(1000) FROM n"
        )
        for suffix in ("", "-journal"):
            shutil.copy(f"{half}{suffix}", f"{tmp_path}/cellblock.db{suffix}")
    url = f"sqlite:///{tmp_path}/cellblock.db"
    with pytest.raises(ConfigurationError, match="readonly"):  # so it is one that a reader cannot undo
        open_lookups(url, Sealer(KEY))
    migrate(url)
    open_lookups(url, Sealer(KEY)).close()
    assert executed(url, "SELECT count(*) FROM t") == 0


# What goes wrong with a server


def test_a_table_that_somebody_holds_is_a_503_within_the_deadline_and_fine_afterwards(server, monkeypatch):
    url = server.fresh()
    migrate(url)
    with psycopg.connect(url) as holder, closing(open_lookups(url, Sealer(KEY))) as lookups:
        holder.execute("LOCK TABLE functions IN ACCESS EXCLUSIVE MODE")
        monkeypatch.setattr(deadline_retries, "DEADLINE_S", 0.1)  # which is a new connection's
        lookups.close()
        refused = refusal(lambda: lookups.deployment("demo", "hello"))
        assert (refused.status, refused.headers) == (503, {"Retry-After": "1"})
        monkeypatch.undo()
        holder.rollback()
        assert lookups.deployment("demo", "hello") is None


def test_a_connection_that_the_server_ended_costs_nobody_an_error(server):
    url = server.fresh()
    migrate(url)
    with closing(open_lookups(url, Sealer(KEY))) as lookups:
        ended = executed(
            url,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert ended == 1
        assert lookups.deployment("demo", "hello") is None


def test_a_server_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot open the store: .*nowhere"):
        open_lookups(f"postgresql://cellblock@/db?host={tmp_path}/nowhere", Sealer(KEY))


def test_what_the_database_says_is_one_line_of_the_log_and_nothing_of_the_librarys(caplog):
    def fail() -> None:
        raise sa.exc.OperationalError("SELECT 1", {}, Exception("disk I/O\nerror"))

    with pytest.raises(PlatformError):
        deadline_retries.until_done(fail, (sa.exc.OperationalError,))
    (said,) = [entry.getMessage() for entry in caplog.records]
    assert said == "cannot use the store: disk I/O error"
