"""Appending: from several processes, under a disk that refuses, and over files that vanish."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from supervisor.logs import Query, Writer, read
from supervisor.logs.layout import segments_of
from supervisor.logs.writing.writer import LANES_MAX
from tests.support.eventually import eventually
from tests.support.logrecords import MS, START_NS, everything, lines, record, texts

ROOT = Path(__file__).resolve().parents[4]
MOUNT = 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'
SECONDS = 60


def started(*arguments: str, wrap: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*wrap, sys.executable, "-m", "tests.support.logwriting", *arguments],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(*arguments: str, wrap: tuple[str, ...] = ()) -> dict:
    with started(*arguments, wrap=wrap) as process:
        return json.loads(process.communicate(timeout=SECONDS)[0])


def test_what_was_appended_is_read_in_order_with_all_its_fields(writer, tmp_path):
    given = [record("a\nb", START_NS, call_id="", level="error"), record("c", START_NS + 1, stream="stdout")]
    writer.append(given)
    assert writer.flush()
    found = everything(tmp_path)
    assert [one._replace(writer="", sequence=0) for one in found] == given
    assert [one.sequence for one in found] == [1, 2]


@pytest.mark.slow
def test_processes_that_write_the_same_function_at_once_lose_nothing_while_it_is_read(tmp_path):
    writers = [started("many", str(tmp_path), "1000", f"i-{n}") for n in range(3)]
    for process in writers:
        process.stdin.write("\n")
        process.stdin.flush()
    seen: list = []
    cursor = None
    while any(process.poll() is None for process in writers):
        batch = read(tmp_path, "default", "hello", Query(), cursor)
        seen += batch.records
        cursor = batch.cursor
        assert batch.bad == batch.gap == 0
    while (batch := read(tmp_path, "default", "hello", Query(), cursor)).records:
        seen += batch.records
        cursor = batch.cursor
    for process in writers:
        assert json.loads(process.communicate(timeout=SECONDS)[0]) == {"dropped": 0}
    for n in range(3):
        assert [one.text for one in seen if one.instance == f"i-{n}"] == [str(n) for n in range(1000)]
    assert len(segments_of(tmp_path / "default/hello")) > 6  # each rotated
    in_order = [one.timestamp for one in everything(tmp_path)]
    assert in_order == sorted(in_order)


def test_what_comes_while_no_thread_can_be_started_is_written_later(writer, tmp_path, monkeypatch, caplog):
    """The error went to whoever appended, on the loop of a front."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        writer.append([record("first", START_NS)])
        writer.append([record("second", START_NS + 1)])
    assert caplog.text.count("cannot write functions' logs yet: can't start new thread") == 1
    writer.append([record("third", START_NS + 2)])
    assert writer.flush()
    assert [one.text for one in everything(tmp_path)] == ["first", "second", "third"]


def test_what_a_killed_process_had_written_stays_and_a_new_one_goes_on(writer, tmp_path):
    with started("until_killed", str(tmp_path)) as process:
        assert json.loads(process.stdout.readline()) == {"written": True}
        process.kill()
    writer.append(lines(5, 10))
    writer.flush()
    assert [one.text for one in everything(tmp_path)] == [str(n) for n in range(15)]


def check_recovery(answer: dict) -> None:
    assert not answer["flushed"] and answer["recovered"]
    assert answer["dropped"] > 0


@pytest.mark.slow
def test_while_files_may_not_grow_records_are_dropped_counted_and_said_in_the_place_of_the_gap(tmp_path):
    answer = said("refused", str(tmp_path))
    check_recovery(answer)
    found = everything(tmp_path)
    platform = [index for index, one in enumerate(found) if one.stream == "platform"]
    assert [found[index].text.split()[0] for index in platform] == [str(answer["dropped"])]
    assert {one.call_id for one in found[: platform[0]]} == {"first", "before"}
    assert [one.call_id for one in found[platform[0] + 1 :]] == ["after"] * 5
    assert len(found) == 1 + answer["appended"] - answer["dropped"] + 1 + 5
    # Nothing is torn or doubled: the jump of the sequence is what was dropped.
    jumps = [later.sequence - one.sequence - 1 for one, later in pairwise(found)]
    assert sum(jumps) == answer["dropped"] and min(jumps) == 0
    assert not read(tmp_path, "default", "hello", Query()).bad


@pytest.mark.slow
@pytest.mark.needs_root
def test_a_full_disk_costs_counted_records_and_nothing_once_there_is_room(tmp_path):
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    wrap = ("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, str(tmp_path))
    answer = said("full", str(tmp_path), wrap=wrap)
    check_recovery(answer)
    assert [text.split()[0] for text in answer["said"]] == [str(answer["dropped"])]
    assert (answer["after"], answer["torn"]) == (5, 0)
    assert answer["read"] == 1 + answer["appended"] - answer["dropped"] + 1 + 5


def test_a_root_that_cannot_be_written_raises_nothing_and_counts(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    writer = Writer(blocked, buffer_bytes=300_000)
    for first in range(0, 10_000, 100):
        writer.append(lines(100, first))
    assert not writer.flush()
    assert writer.dropped == writer.dropped_of("default", "hello") > 0
    blocked.unlink()
    assert writer.flush()
    writer.close()
    found = everything(blocked)
    assert found[-1].text.startswith(f"{writer.dropped} log records were dropped")
    assert len(found) - 1 + writer.dropped == 10_000


def test_a_segment_that_is_deleted_while_it_is_written_to_is_followed_by_another(writer, tmp_path):
    for first in (0, 10, 20):
        writer.append(lines(10, first))
        writer.flush()
        if first == 10:
            for one in segments_of(tmp_path / "default/hello"):
                one.path.unlink()
    assert [one.text for one in everything(tmp_path)] == [str(n) for n in range(20, 30)]


def test_a_deleted_folder_is_made_again(writer, tmp_path):
    writer.append(lines(1))
    writer.flush()
    shutil.rmtree(tmp_path / "default")
    writer.append(lines(1, 1))
    assert writer.flush()
    assert [one.text for one in everything(tmp_path)] == ["1"]


def test_segments_are_rotated_by_size_and_keep_one_sequence(make_writer, tmp_path):
    writer = make_writer(segment_bytes=500)
    for first in range(0, 100, 10):
        writer.append(lines(10, first))
        writer.flush()
    assert len(segments_of(tmp_path / "default/hello")) == 5
    assert [one.sequence for one in everything(tmp_path)] == list(range(1, 101))


def test_a_clock_that_is_set_back_begins_another_segment_and_nothing_is_lost(writer, tmp_path):
    writer.append(
        [record("before", START_NS), record("back", START_NS - 10_000 * MS), record("on", START_NS)]
    )
    writer.flush()
    assert len(segments_of(tmp_path / "default/hello")) == 2
    assert {one.text for one in everything(tmp_path)} == {"before", "back", "on"}
    early = read(tmp_path, "default", "hello", Query(until=START_NS - 1))
    assert texts(early) == ["back"]


def test_thousands_of_functions_need_no_more_descriptors_than_are_allowed(make_writer, tmp_path):
    writer = make_writer(open_max=5)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        writer.append([record("x", name=f"f{n}") for n in range(300)])
        assert writer.flush()
    assert len(os.listdir("/proc/self/fd")) - before <= 5
    assert all(len(segments_of(tmp_path / f"default/f{n}")) == 1 for n in range(300))
    assert len(everything(tmp_path, None)) == 600
    writer.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_function_that_is_forgotten_has_nothing_written_and_gives_its_room_back(tmp_path):
    (tmp_path / "default").write_text("")  # nothing can be written
    writer = Writer(tmp_path, buffer_bytes=1 << 20)
    writer.append(lines(100))
    writer.flush()
    writer.forget("default", "hello")
    eventually(lambda: writer._bytes == 0)  # a round that was under way has it in hand until it ends
    (tmp_path / "default").unlink()
    assert writer.flush()
    assert everything(tmp_path) == []
    writer.close()


def test_one_function_that_floods_takes_no_other_functions_room(tmp_path):
    (tmp_path / "default").write_text("")
    writer = Writer(tmp_path)
    for first in range(0, 120_000, 1000):
        writer.append(lines(1000, first))
    writer.append([record("quiet", space="other", name="quiet")])
    assert writer.dropped_of("default", "hello") > 0 == writer.dropped_of("other", "quiet")
    writer.flush()
    assert texts(read(tmp_path, "other", "quiet", Query())) == ["quiet"]
    writer.close(0)


def test_functions_that_are_remembered_are_bounded(tmp_path, monkeypatch):
    assert LANES_MAX == 20_000
    monkeypatch.setattr("supervisor.logs.writing.writer.LANES_MAX", 10)
    writer = Writer(tmp_path)
    for n in range(50):
        writer.append([record(str(n), name=f"f{n}")])
        writer.flush()
    writer.append([record("again", START_NS + 1, name="f0")])
    writer.close()
    assert len(writer._lanes) <= 10
    assert [one.text for one in everything(tmp_path, "f0")] == ["0", "again"]


def test_threads_append_at_once_and_every_record_has_its_own_number(writer, tmp_path):
    def work(n: int) -> None:
        for first in range(0, 500, 10):
            writer.append(lines(10, first, instance=f"i-{n}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    writer.flush()
    found = read(tmp_path, "default", "hello", Query(limit=10_000)).records
    assert [one.sequence for one in found] == list(range(1, 2001))
    for n in range(4):
        assert [one.text for one in found if one.instance == f"i-{n}"] == [str(one) for one in range(500)]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\0b", "x" * 65, "A", "-a", "a\n", "a."])
def test_a_name_that_could_lead_elsewhere_is_refused(writer, tmp_path, name):
    for fields in ({"name": name}, {"space": name}):
        with pytest.raises(ValueError, match="cannot use"):
            writer.append([record("x", **fields)])
    with pytest.raises(ValueError, match="cannot use"):
        read(tmp_path, "default", name, Query())
    with pytest.raises(ValueError, match="cannot use"):
        read(tmp_path, name, None, Query())


def test_nothing_is_opened_or_made_before_the_first_record(tmp_path):
    Writer(tmp_path / "logs").close()
    assert not (tmp_path / "logs").exists()


def test_what_is_written_is_readable_by_its_owner_only(writer, tmp_path):
    writer.append(lines(1))
    writer.flush()
    (one,) = segments_of(tmp_path / "default/hello")
    assert one.path.stat().st_mode & 0o777 == 0o600
    assert one.path.parent.stat().st_mode & 0o777 == 0o700
