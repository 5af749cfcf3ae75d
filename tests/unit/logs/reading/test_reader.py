"""Reading: what fits, in the order of time, of files that may be damaged, growing or going."""

from __future__ import annotations

import errno
import random
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.logs import Query, Writer, read, segment_reader
from supervisor.logs.layout import segment_file, segments_of
from supervisor.logs.reading import reader
from supervisor.logs.reading.query import LIMIT_MAX
from supervisor.logs.record_encoding import LINE_MAX_BYTES, decode, encode
from tests.support.forked import in_child
from tests.support.logrecords import MS, START_NS, everything, lines, record, texts

WRITER = "0123456789ab"


def lay(root: Path, records, writer: str = WRITER, first: int = 1, name: str = "hello") -> Path:
    """A segment with these records, as a writer that is gone left it."""
    folder = root / "default" / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / segment_file(records[0].timestamp, writer, first)
    path.write_bytes(b"".join(encode(one, first + n) for n, one in enumerate(records)))
    return path


def at(n: int) -> int:
    return START_NS + n * MS


@pytest.fixture
def mixed(tmp_path):
    """A thousand records of three writers that differ in every field."""
    levels = ("debug", "info", "warning", "error", "critical")
    for writer in range(3):
        records = [
            record(
                f"line {n}", at(n), call_id=f"c-{n // 10}", instance=f"i-{writer}",
                stream=("stdout", "stderr")[n % 2], level=levels[n % 5],
            )
            for n in range(writer, 1000, 3)
        ]  # fmt: skip
        lay(tmp_path, records, f"{writer:012x}")
    return tmp_path


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), range(1000)),
        (Query(since=at(900)), range(900, 1000)),
        (Query(until=at(9)), range(10)),
        (Query(since=at(500), until=at(509)), range(500, 510)),
        (Query(since=at(500) + 1, until=at(501) - 1), []),
        (Query(limit=3), range(3)),
        (Query(tail=3), range(997, 1000)),
        (Query(tail=0), []),
        (Query(tail=3, until=at(500)), range(498, 501)),
        (Query(tail=10_000, since=at(995)), range(995, 1000)),
        (Query(call_id="c-7"), range(70, 80)),
        (Query(call_id="c-"), []),
        (Query(level="error"), [n for n in range(1000) if n % 5 >= 3]),
        (Query(stream="stdout"), range(0, 1000, 2)),
        (Query(instance="i-2"), range(2, 1000, 3)),
        (Query(q="line 77"), [77, *range(770, 780)]),
        (Query(q="line 77", tail=1), [779]),
        (Query(q="c-7"), []),  # in the text, not beside it
        (Query(tail=2, level="critical", instance="i-0"), [984, 999]),
        (Query(since=at(100), limit=2, stream="stderr"), [101, 103]),
        (Query(since=at(5000)), []),
        (Query(until=at(-1)), []),
    ],
)
def test_a_query_gives_what_fits_it_in_the_order_of_time(mixed, query, expected):
    assert texts(read(mixed, "default", "hello", query)) == [f"line {n}" for n in expected]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(-5, 1005), st.integers(-5, 1005), st.integers(1, 50), st.booleans())
def test_pages_are_the_whole_whatever_their_size(mixed, since, until, limit, is_tail):
    wanted = [f"line {n}" for n in range(max(0, since), min(1000, until + 1))]
    query = Query(since=at(since), until=at(until), limit=limit)
    if is_tail:
        last = Query(since=at(since), until=at(until), tail=limit)
        assert texts(read(mixed, "default", "hello", last)) == wanted[-limit:]
    else:
        assert [one.text for one in everything(mixed, query=query)] == wanted


def test_a_space_is_read_as_one_log(mixed):
    lay(mixed, [record("other", at(5), name="other")], "f" * 12, name="other")
    (mixed / "elsewhere/hello").mkdir(parents=True)
    found = read(mixed, "default", None, Query(until=at(6))).records
    assert [one.text for one in found] == [*(f"line {n}" for n in range(6)), "other", "line 6"]
    assert [one.name for one in found][-2:] == ["other", "hello"]
    assert texts(read(mixed, "default", None, Query(tail=1, q="other"))) == ["other"]


def test_what_has_no_log_yet_has_an_empty_one(tmp_path):
    for name in ("hello", None):
        for query in (Query(), Query(tail=10)):
            batch = read(tmp_path, "default", name, query)
            assert (batch.records, batch.more, batch.gap) == ([], False, 0)


def test_the_cursor_of_a_tail_is_where_the_next_read_goes_on(writer, tmp_path):
    writer.append(lines(50))
    writer.flush()
    tail = read(tmp_path, "default", "hello", Query(tail=10))
    writer.append(lines(5, 50))
    writer.flush()
    following = read(tmp_path, "default", "hello", Query(), tail.cursor)
    assert texts(tail) + texts(following) == [str(n) for n in range(40, 55)]


def test_a_rare_text_is_found_without_taking_every_line_apart(tmp_path, monkeypatch):
    lay(tmp_path, [*lines(20_000), record("the needle", at(20_000)), *lines(20_000, 20_001)])
    taken_apart = []
    for module in ("merged_records", "reader"):
        monkeypatch.setattr(
            f"supervisor.logs.reading.{module}.decode",
            lambda *given: taken_apart.append(given) or decode(*given),
        )
    assert texts(read(tmp_path, "default", "hello", Query(q="needle"))) == ["the needle"]
    assert texts(read(tmp_path, "default", "hello", Query(q="needle", tail=5))) == ["the needle"]
    assert len(taken_apart) == 2


def test_since_and_tail_read_a_small_part_of_what_there_is(tmp_path, monkeypatch):
    for n in range(10):
        lay(tmp_path, lines(10_000, n * 10_000), first=n * 10_000 + 1)
    size = sum(one.size for one in segments_of(tmp_path / "default/hello"))
    seen = []
    real = segment_reader.block
    monkeypatch.setattr(
        segment_reader, "block", lambda *given: (data := real(*given), seen.append(len(data)))[0]
    )
    for query in (Query(tail=10), Query(since=at(55_000), limit=10), Query(tail=10, until=at(55_000))):
        segment_reader.end_of.cache_clear()
        seen.clear()
        assert len(read(tmp_path, "default", "hello", query).records) == 10
        assert sum(seen) < size / 10


def test_a_read_stops_at_a_bound_of_bytes_and_goes_on_from_its_cursor(mixed, monkeypatch):
    monkeypatch.setattr(reader, "READ_MAX_BYTES", 10_000)
    first = read(mixed, "default", "hello", Query(level="critical", limit=LIMIT_MAX))
    assert first.more and len(first.records) < 200
    found = [one.text for one in everything(mixed, query=Query(level="critical"))]
    assert found == [f"line {n}" for n in range(4, 1000, 5)]
    last = read(mixed, "default", "hello", Query(tail=200, level="critical"))
    assert last.more and 0 < len(last.records) < 200


# ---- damage ---------------------------------------------------------------------------------


def test_a_torn_last_line_is_left_alone_until_it_is_whole(tmp_path):
    path = lay(tmp_path, lines(10))
    data = path.read_bytes()
    for size in range(len(data) - 60, len(data)):
        path.write_bytes(data[:size])
        whole = data[:size].count(b"\n")
        batch = read(tmp_path, "default", "hello", Query())
        assert (len(batch.records), batch.bad) == (whole, 0)
        assert len(read(tmp_path, "default", "hello", Query(tail=100)).records) == whole
        path.write_bytes(data)
        later = read(tmp_path, "default", "hello", Query(), batch.cursor)
        assert texts(batch) + texts(later) == [str(n) for n in range(10)]


def test_a_damaged_line_is_counted_and_the_rest_is_read(tmp_path):
    path = lay(tmp_path, lines(100))
    data = path.read_bytes().split(b"\n")
    data[50] = data[50].replace(b"c-1", b"c-2")
    path.write_bytes(b"\n".join(data))
    batch = read(tmp_path, "default", "hello", Query())
    assert texts(batch) == [str(n) for n in range(100) if n != 50]
    assert (batch.bad, batch.gap) == (1, 1)
    tail = read(tmp_path, "default", "hello", Query(tail=60))
    assert (len(tail.records), tail.bad) == (60, 1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.randoms(use_true_random=False), st.binary(max_size=300), st.booleans())
def test_whatever_stands_in_a_segment_a_read_ends_and_gives_only_what_was_written(
    tmp_path, chance, junk, zeros
):
    data = bytearray(lay(tmp_path, lines(500)).read_bytes())
    for _ in range(chance.randrange(5)):
        where = chance.randrange(len(data))
        piece = junk * chance.randrange(1, 200) if not zeros else b"\0" * chance.randrange(70_000)
        data[where : where + chance.randrange(2000)] = piece
    del data[chance.randrange(len(data) + 1) :]
    (one,) = segments_of(tmp_path / "default/hello")
    one.path.write_bytes(data)
    segment_reader.end_of.cache_clear()
    wanted = {str(n) for n in range(500)}
    for query in (Query(), Query(since=at(250)), Query(until=at(250)), Query(q="1"), Query(call_id="c-1")):
        assert {found.text for found in everything(tmp_path, query=query)} <= wanted
    forwards = texts(read(tmp_path, "default", "hello", Query()))
    assert texts(read(tmp_path, "default", "hello", Query(tail=1000))) == forwards


def test_a_file_without_a_newline_is_one_bad_line_at_most_and_little_memory(tmp_path):
    path = lay(tmp_path, lines(3))
    with open(path, "ab") as file:
        file.write(b"x" * (3 * LINE_MAX_BYTES) + b"\n" + encode(record("behind", at(3)), 4))
    batch = read(tmp_path, "default", "hello", Query())
    assert (texts(batch), batch.bad) == (["0", "1", "2", "behind"], 1)
    tail = read(tmp_path, "default", "hello", Query(tail=10))
    assert (texts(tail), tail.bad) == (["0", "1", "2", "behind"], 1)


def test_what_is_no_segment_is_not_read(tmp_path):
    path = lay(tmp_path, lines(3))
    folder = path.parent
    (folder / "notes.txt").write_bytes(path.read_bytes())
    (folder / segment_file(START_NS, "a" * 12, 1)).symlink_to(path)
    (folder / segment_file(START_NS, "b" * 12, 1)).mkdir()
    (folder / segment_file(START_NS, "c" * 12, 1)).touch()
    for query in (Query(), Query(tail=10)):
        assert texts(read(tmp_path, "default", "hello", query)) == ["0", "1", "2"]


def test_a_segment_that_vanishes_during_a_read_is_the_end_of_it(tmp_path, monkeypatch):
    for n in range(3):
        lay(tmp_path, lines(5000, n * 5000), first=n * 5000 + 1)
    second = segments_of(tmp_path / "default/hello")[1].path
    real = segment_reader.block
    monkeypatch.setattr(
        segment_reader, "block", lambda path, *given: second.unlink(True) or real(path, *given)
    )
    batch = read(tmp_path, "default", "hello", Query(limit=LIMIT_MAX))
    assert texts(batch)[:5000] == [str(n) for n in range(5000)]
    assert (texts(batch)[5000], batch.gap) == ("10000", 5000)


def test_a_lack_of_descriptors_is_said_and_not_taken_for_the_end(tmp_path):
    lay(tmp_path, lines(10))

    def attempt() -> list:
        everything(tmp_path)  # whatever is imported or cached late
        segment_reader.end_of.cache_clear()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        answers: list = []
        for query in (Query(), Query(tail=5)):
            try:
                answers.append(len(read(tmp_path, "default", "hello", query).records))
            except OSError as error:
                answers.append(error.errno)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        later = [len(read(tmp_path, "default", "hello", Query(tail=n)).records) for n in (5, 50)]
        return answers + later

    assert in_child(attempt) == [errno.EMFILE, errno.EMFILE, 5, 10]


# ---- parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("since", -1), ("until", 1 << 64), ("limit", 0), ("limit", LIMIT_MAX + 1), ("tail", -1),
     ("level", "loud"), ("stream", "stdin"), ("call_id", "x" * 129), ("instance", "x" * 129),
     ("q", "x" * 1025)],
)  # fmt: skip
def test_a_query_that_cannot_be_names_its_parameter(parameter, value):
    with pytest.raises(ValueError, match=f"^{parameter}: "):
        Query(**{parameter: value})


def test_a_tail_with_a_cursor_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^tail: "):
        read(tmp_path, "default", "hello", Query(tail=1), "1.0")


@pytest.mark.parametrize(
    "cursor",
    ["", "1", "0.0", "2.0", "1.-1", "1.g", "1.00", "1.0.", "1.0.x-1", f"1.0.{WRITER}", f"1.0.{WRITER}-",
     f"1.0.{WRITER}-1.{WRITER}-2", f"1.0.{WRITER}--1", f"1.0.{WRITER}-1000000000001", "1.0.../../x-1",
     "1." + "1" * 17, "1." + "0" * 3000, f"1.0.{WRITER}-\u0661", "1.0\n",
     "1.0." + ".".join(f"{n:012x}-1" for n in range(65))],
)  # fmt: skip
def test_a_cursor_that_was_not_given_out_is_refused_with_the_reason(tmp_path, cursor):
    with pytest.raises(ValueError, match=r"^cursor: "):
        read(tmp_path, "default", "hello", Query(), cursor)


def test_a_made_up_cursor_that_is_well_formed_does_no_harm(tmp_path):
    lay(tmp_path, lines(10))
    for cursor in (f"1.0.{WRITER}-ffffffffffff", f"1.ffffffffffffffff.{WRITER}-0", "1.ffffffffffffffff",
                   f"1.0.{'f' * 12}-5"):  # fmt: skip
        batch = read(tmp_path, "default", "hello", Query(), cursor)
        assert len(batch.records) in (0, 10)
        assert read(tmp_path, "default", "hello", Query(), batch.cursor).records == []


@pytest.mark.slow
def test_more_writers_than_a_cursor_names_are_read_once_each(tmp_path):
    order = list(range(150))
    random.Random(7).shuffle(order)
    for n in order:
        lay(tmp_path, [record(str(n), at(10 * n)), record(f"{n}+", at(10 * n + 1))], f"{n:012x}")
    wanted = [text for n in range(150) for text in (str(n), f"{n}+")]
    assert [one.text for one in everything(tmp_path, query=Query(limit=7))] == wanted


def test_a_restart_sees_everything(tmp_path):
    for n in range(3):
        writer = Writer(tmp_path)
        writer.append(lines(10, 10 * n))
        writer.close()
    assert [one.text for one in everything(tmp_path)] == [str(n) for n in range(30)]
