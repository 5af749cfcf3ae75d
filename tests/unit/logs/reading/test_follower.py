"""Following: nothing lost, nothing repeated, what is missing counted."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.logs import Followers, Query, Record, Writer, delete, read
from supervisor.logs.layout import segments_of
from supervisor.logs.reading import follower
from supervisor.logs.reading.follower import Follower
from tests.support.logrecords import Clock, drain, lines, record, texts


@pytest.fixture
def followers(tmp_path, clock):
    return Followers(tmp_path, clock)


def put(writer: Writer, records: list[Record]) -> None:
    writer.append(records)
    assert writer.flush()
    Clock.now += 1.0


def numbers(first: int, behind: int) -> list[str]:
    return [str(n) for n in range(first, behind)]


def test_a_follower_sees_what_is_written_from_now_on(writer, followers):
    put(writer, lines(10))
    one = followers.follow("default", "hello")
    assert drain(one) == ([], 0)
    for first in (10, 20, 30):
        put(writer, lines(10, first))
        assert drain(one) == (numbers(first, first + 10), 0)
    assert drain(one) == ([], 0)


def test_a_follower_of_a_function_that_has_logged_nothing_sees_its_first_line(writer, followers):
    one, space = followers.follow("default", "hello"), followers.follow("default", None)
    assert drain(one) == drain(space) == ([], 0)
    put(writer, lines(1))
    assert drain(one) == drain(space) == (["0"], 0)
    put(writer, lines(1, 1, name="second"))
    assert (drain(one), drain(space)) == (([], 0), (["1"], 0))


def test_a_follower_from_a_tails_cursor_or_a_time_goes_on_without_a_seam(writer, followers, tmp_path):
    put(writer, lines(20))
    tail = read(tmp_path, "default", "hello", Query(tail=5))
    put(writer, lines(5, 20))
    assert drain(followers.follow("default", "hello", cursor=tail.cursor)) == (numbers(20, 25), 0)
    since = Query(since=lines(1, 7)[0].timestamp)
    assert drain(followers.follow("default", "hello", since)) == (numbers(7, 25), 0)


def test_new_writers_and_rotation_are_noticed(make_writer, followers):
    one = followers.follow("default", "hello")
    writers = [make_writer(segment_bytes=300) for _ in range(3)]
    for first in range(0, 300, 10):
        put(writers[first // 10 % 3], lines(10, first))
        assert drain(one) == (numbers(first, first + 10), 0)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30), st.integers(0, 40), st.booleans()), max_size=25)
)
def test_polls_and_resumes_in_any_order_lose_and_repeat_nothing(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("logs")
    writers = [Writer(root, segment_bytes=400) for _ in range(3)]
    followers = Followers(root, Clock())
    one, first, seen, gap = followers.follow("default", "hello"), 0, [], 0
    for which, count, polled, is_resumed in steps:
        put(writers[which], lines(count, first, instance=f"i-{which}"))
        first += count
        if polled:
            batch = one.poll(polled)
            seen += [(found.instance, found.text) for found in batch.records]
            gap += batch.gap
        if is_resumed:
            one.close()
            followers = Followers(root, Clock())
            one = followers.follow("default", "hello", cursor=one.cursor)
    rest = drain(one)
    for writer in writers:
        writer.close()
    found = [text for _, text in seen] + rest[0]
    assert sorted(map(int, found)) == list(range(first))
    assert gap + rest[1] == 0


def test_every_record_has_a_cursor_from_which_exactly_the_rest_follows(make_writer, followers):
    one = followers.follow("default", "hello")
    drain(one)
    for first in range(0, 60, 10):
        put(make_writer(), lines(10, first))
    batch = one.poll()
    assert texts(batch) == numbers(0, 60)
    for index, (_, cursor) in enumerate(batch.with_cursors()):
        assert drain(followers.follow("default", "hello", cursor=cursor))[0] == numbers(index + 1, 60)


def test_what_is_not_asked_for_is_neither_given_nor_a_gap(writer, followers):
    late = followers.follow("default", "hello", Query(level="error"))
    for live in (late, followers.follow("default", "hello", Query(level="error", since=1))):
        put(writer, lines(50))
        put(writer, [record("bad", lines(1, 99)[0].timestamp, level="error")])
        assert drain(live)[1] == 0
    resumed = followers.follow("default", "hello", Query(level="error"), late.cursor)
    put(writer, [record("worse", lines(1, 100)[0].timestamp, level="critical")])
    assert drain(resumed) == (["bad", "worse"], 0)


def test_what_retention_took_before_it_was_read_is_a_counted_gap(make_writer, followers, tmp_path):
    writer = make_writer(segment_bytes=300)
    put(writer, lines(10))
    tail = read(tmp_path, "default", "hello", Query(tail=1))
    for first in range(10, 100, 10):
        put(writer, lines(10, first))
    for gone in segments_of(tmp_path / "default/hello")[:-2]:
        gone.path.unlink()
    found, gap = drain(followers.follow("default", "hello", cursor=tail.cursor))
    assert len(found) + gap == 90 and gap >= 60
    assert found == numbers(100 - len(found), 100)


def test_a_function_that_is_deleted_and_logs_again_is_followed_on(writer, followers, tmp_path):
    one = followers.follow("default", "hello")
    put(writer, lines(10))
    assert drain(one) == (numbers(0, 10), 0)
    delete(tmp_path, "default", "hello")
    assert not (tmp_path / "default").exists()
    assert drain(one) == ([], 0)
    put(writer, lines(10, 10))
    assert drain(one) == (numbers(10, 20), 0)
    writer.forget("default", "hello")
    put(writer, lines(10, 20))  # under another writer's name
    assert drain(one) == (numbers(20, 30), 0)


def test_records_that_were_dropped_are_counted_and_said(tmp_path, followers):
    one = followers.follow("default", "hello")
    (tmp_path / "default").write_text("")
    writer = Writer(tmp_path, buffer_bytes=300_000)
    for first in range(0, 10_000, 100):
        writer.append(lines(100, first))
    writer.flush()
    (tmp_path / "default").unlink()
    assert writer.flush()
    put(writer, lines(1, 10_000))
    found, gap = drain(one)
    assert gap == writer.dropped > 0
    said = f"{gap} log records were dropped: they could not be written to the server's disk in time"
    assert found == [*numbers(0, 10_000 - gap), said, "10000"]
    writer.close()


def test_one_that_fell_behind_the_shared_window_still_gets_everything(writer, followers, monkeypatch):
    monkeypatch.setattr(follower, "WINDOW_MAX_RECORDS", 50)
    quick, slow = followers.follow("default", "hello"), followers.follow("default", "hello")
    assert drain(quick) == drain(slow) == ([], 0)
    for first in range(0, 400, 20):
        put(writer, lines(20, first))
        assert drain(quick) == (numbers(first, first + 20), 0)
    assert drain(slow) == (numbers(0, 400), 0)
    put(writer, lines(20, 400))
    assert drain(quick) == drain(slow) == (numbers(400, 420), 0)


def test_one_that_skips_is_at_the_end_and_knows_what_it_left_out(writer, followers):
    one = followers.follow("default", "hello")
    put(writer, lines(100))
    assert len(one.poll(30).records) <= 30
    rest = one.skip()
    assert rest in (70, 100)
    assert drain(one) == ([], 0)
    put(writer, lines(5, 100))
    assert drain(one) == (numbers(100, 105), 0)
    assert one.skip() == 0


def test_a_poll_is_bounded(writer, followers):
    one = followers.follow("default", "hello", Query(since=1))
    put(writer, lines(1200))
    batch = one.poll()
    assert len(batch.records) == follower.POLL_MAX_RECORDS and batch.more
    assert drain(one)[0] == numbers(500, 1200)


def test_many_followers_share_one_reading_of_the_disk(writer, tmp_path, monkeypatch):
    now = [0.0]
    followers = Followers(tmp_path, lambda: now[0])
    many = [followers.follow("default", "hello") for _ in range(100)]
    assert all(drain(one) == ([], 0) for one in many)
    put(writer, lines(50))
    looks = []
    advance = follower.MergedRecords.advance
    monkeypatch.setattr(
        follower.MergedRecords, "advance", lambda self, *given: looks.append(1) or advance(self, *given)
    )
    now[0] += 1
    assert all(drain(one) == (numbers(0, 50), 0) for one in many)
    assert len(looks) == 1
    for one in many:
        one.close()
    assert isinstance(followers.follow("default", "second"), Follower)
    assert list(followers._windows) == [("default", "second", False)]


@pytest.mark.slow
def test_a_poll_that_finds_nothing_costs_microseconds(writer, tmp_path):
    put(writer, lines(100))
    followers = Followers(tmp_path)
    many = [followers.follow("default", "hello") for _ in range(500)]
    for one in many:
        one.poll()
    began = time.thread_time()
    for _ in range(10):
        for one in many:
            one.poll()
    assert (time.thread_time() - began) / 5000 < 50e-6  # measured: 1.3


@pytest.mark.parametrize("cursor", ["", "nonsense", "1.0." + "x" * 5000])
def test_a_hostile_cursor_is_refused(followers, cursor):
    with pytest.raises(ValueError, match=r"^cursor: "):
        followers.follow("default", "hello", cursor=cursor)


def test_a_tail_is_not_followed(followers):
    with pytest.raises(ValueError, match=r"^tail: "):
        followers.follow("default", "hello", Query(tail=1))
