"""Deleting: by retention, with the function, and what is nobody's."""

from __future__ import annotations

import os
import time

from supervisor.logs import Followers, Query, Retention, delete, read, sweep
from supervisor.logs.layout import segments_of
from supervisor.logs.log_sweep import STRAY_AFTER_S
from tests.support.logrecords import Clock, drain, everything, lines, texts

WIDE = Retention(1e6, 1 << 40, 1 << 40)


def age(folder, seconds: float) -> None:
    """As if nobody had written there for so long."""
    then = time.time() - seconds
    for one in segments_of(folder):
        os.utime(one.path, (then, then))


def test_what_is_over_the_limits_is_gone_and_the_rest_is_read_on(make_writer, tmp_path):
    writer = make_writer(segment_bytes=300)
    for first in range(0, 100, 10):
        writer.append(lines(10, first))
        writer.flush()
    swept = sweep(tmp_path, Retention(1e6, 5 * 4096, 1 << 40))
    assert swept.segments == 5 and swept.bytes == 5 * 4096
    assert [one.text for one in everything(tmp_path)] == [str(n) for n in range(50, 100)]
    writer.append(lines(10, 100))
    writer.flush()
    assert len(everything(tmp_path)) == 60


def test_a_function_whose_last_record_is_too_old_leaves_nothing_behind(writer, tmp_path):
    writer.append([*lines(5), *lines(5, name="second")])
    writer.close()
    age(tmp_path / "default/hello", 100)
    assert sweep(tmp_path, Retention(50, 1 << 40, 1 << 40)).segments == 1
    assert sorted(one.name for one in (tmp_path / "default").iterdir()) == ["second"]


def test_the_logs_of_a_function_go_with_it_and_no_others(writer, tmp_path):
    writer.append([*lines(5), *lines(5, name="second")])
    writer.flush()
    delete(tmp_path, "default", "hello")
    delete(tmp_path, "default", "absent")
    assert texts(read(tmp_path, "default", "hello", Query())) == []
    assert len(everything(tmp_path, "second")) == 5


def test_logs_of_a_function_that_does_not_exist_go_once_nobody_writes_them(writer, tmp_path):
    writer.append([*lines(5), *lines(5, name="second")])
    writer.flush()
    known = {("default", "second")}
    assert sweep(tmp_path, WIDE, known).segments == 0
    age(tmp_path / "default/hello", STRAY_AFTER_S + 60)
    age(tmp_path / "default/second", STRAY_AFTER_S + 60)
    assert sweep(tmp_path, WIDE).segments == 0
    assert sweep(tmp_path, WIDE, known).segments == 1
    assert everything(tmp_path) == [] and len(everything(tmp_path, "second")) == 5


def test_a_sweep_takes_nothing_that_is_not_a_segment(writer, tmp_path):
    writer.append(lines(5))
    writer.close()
    note = tmp_path / "default/hello/note.txt"
    note.write_text("kept")
    sweep(tmp_path, Retention(1e6, 0, 0))
    assert note.read_text() == "kept" and segments_of(note.parent) == []


def test_an_empty_or_missing_root_is_nothing_to_do(tmp_path):
    assert sweep(tmp_path, WIDE) == sweep(tmp_path / "missing", WIDE) == (0, 0)


def test_a_reader_in_the_middle_of_what_is_swept_gets_the_rest_and_a_count(make_writer, tmp_path):
    writer = make_writer(segment_bytes=300)
    follower = Followers(tmp_path, Clock()).follow("default", "hello")
    for first in range(0, 100, 10):
        writer.append(lines(10, first))
        writer.flush()
    assert len(follower.poll(15).records) == 15
    sweep(tmp_path, Retention(1e6, 4096, 1 << 40))
    found, gap = drain(follower)
    assert 15 + len(found) + gap == 100
