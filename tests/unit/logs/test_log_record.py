"""What a function wrote, what its failed calls left, reports of the others: kept apart, read together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.front.outcome import platform_lines
from supervisor.front.outcome.outcomes import TABLE, Outcome
from supervisor.front.outcome.reports import Report
from supervisor.logs import Followers, Query, Record, Retention, Writer, delete, read, sweep
from supervisor.logs.layout import segment_file, segments_of
from supervisor.logs.log_record import KINDS
from supervisor.logs.record_encoding import encode, encode_report
from tests.support.logrecords import MS, START_NS, Clock, drain, everything, lines, record, texts

WITH_REPORTS = Query(reports=True)
FOLDER = Path("default/hello")


def report(number: int, outcome: Outcome = Outcome.ANSWERED, message: str = "") -> Report:
    """Of a call that ended so many and a half ms after the start."""
    at = (START_NS + number * MS + MS // 2) / 1e9
    whose = ("default", "hello", 3, "i-1", f"call-{number}")
    return Report(at, *whose, outcome, 200, 0.0012344, 0.00001, 0.0, 0.5, 0.25, 3 << 20, message)


def quiet(writer: Writer, first: int, behind: int) -> None:
    """Reports of calls that did not fail."""
    writer.append_reports("default", "hello", [platform_lines.ready(report(n)) for n in range(first, behind)])
    assert writer.flush()


def failed(first: int, behind: int) -> list[Record]:
    """What failed calls leave: a traceback and a report each."""
    found = []
    for n in range(first, behind):
        found.append(record(f"Traceback {n}", START_NS + n * MS, level="error", is_failures=True))
        found.append(platform_lines.of_call(report(n, Outcome.RAISED)))
    return found


@pytest.mark.parametrize("outcome", sorted(platform_lines.QUIET, key=str))
@pytest.mark.parametrize("instance", ["74eea7d6f2", "-"])
def test_a_report_that_is_made_of_bytes_is_the_one_that_is_made_of_text(
    outcome: Outcome, instance: str
) -> None:
    for call_id in ("abd3197096c4f9c4-00000002", "A.b_c:d@e=f+g-h", "x" * 128):
        one = report(7, outcome)._replace(instance=instance, call_id=call_id)
        assert encode_report(*_at(platform_lines.ready(one), 9)) == encode(platform_lines.of_call(one), 9)


def _at(ready: tuple[int, bytes], sequence: int) -> tuple[int, int, bytes]:
    return ready[0], sequence, ready[1]


def test_a_report_is_among_the_others_when_asked_for_or_when_its_call_failed(
    writer: Writer, tmp_path: Path
) -> None:
    for outcome, verdict in TABLE.items():
        of_call = platform_lines.of_call(report(1, outcome))
        assert (of_call.kind == "reports") == of_call.is_quiet_report == (verdict.level == "info")
    writer.append([record("own", START_NS), *failed(2, 3), record("own too", START_NS + 5 * MS)])
    quiet(writer, 1, 5)
    shown = ["own", "Traceback 2", "report outcome=raised", "own too"]
    for query in (Query(), Query(tail=10)):
        found = read(tmp_path, "default", "hello", query)
        assert [text[: len(want)] for text, want in zip(texts(found), shown, strict=True)] == shown
    for query in (WITH_REPORTS, Query(reports=True, tail=10)):
        batch = read(tmp_path, "default", "hello", query)
        assert [one.timestamp for one in batch.records] == sorted(one.timestamp for one in batch.records)
        assert len(batch.records) == 8
    assert texts(read(tmp_path, "default", "hello", Query(call_id="call-3"))) == []
    assert len(read(tmp_path, "default", "hello", Query(call_id="call-3", reports=True)).records) == 1
    assert len(read(tmp_path, "default", None, WITH_REPORTS).records) == 8


def test_a_flood_of_calls_that_fail_or_not_takes_nothing_from_what_the_function_wrote(
    make_writer: Callable[..., Writer], tmp_path: Path
) -> None:
    limits = Retention(1e9, 64 << 10, 1 << 40, 32 << 10)
    writer = make_writer(other_segment_bytes=4 << 10)
    writer.append(lines(20))
    for first in range(0, 2000, 25):
        quiet(writer, first, first + 25)
        writer.append(failed(first, first + 25))
        assert writer.flush()
    size = {kind: sum(one.size for one in segments_of(tmp_path / FOLDER, [kind])) for kind in KINDS}
    assert min(size["platform"], size["reports"]) > limits.function_bytes > size["own"]
    sweep(tmp_path, limits)
    own = [one.text for one in everything(tmp_path) if one.text.isdecimal()]
    assert own == [str(n) for n in range(20)]
    left = {kind: sum(one.size for one in segments_of(tmp_path / FOLDER, [kind])) for kind in KINDS}
    assert left["own"] == size["own"]
    assert 0 < left["platform"] <= limits.reports_bytes and 0 < left["reports"] <= limits.reports_bytes
    # The latest of each are there: the flood paid for itself.
    assert everything(tmp_path, query=WITH_REPORTS)[-1].call_id == "call-1999"


def test_a_quiet_functions_lines_outlive_the_calls_of_all_others(tmp_path: Path) -> None:
    writer = Writer(tmp_path, other_segment_bytes=4096)
    writer.append(lines(200))
    for n in range(8):
        many = [platform_lines.ready(report(number)) for number in range(200)]
        writer.append_reports("default", f"called-{n}", many)
    assert writer.close()
    own = sum(one.size for one in segments_of(tmp_path / FOLDER))
    sweep(tmp_path, Retention(1e9, 1 << 40, 64 << 10, 1 << 40))
    assert sum(one.size for one in segments_of(tmp_path / FOLDER)) == own
    others = [one for n in range(8) for one in segments_of(tmp_path / f"default/called-{n}")]
    assert 0 < sum(one.size for one in others) <= (64 << 10) - own


def test_a_log_of_before_in_one_piece_is_read_with_its_reports_and_without(tmp_path: Path) -> None:
    mixed = [
        record("own", START_NS), platform_lines.of_call(report(1)), *failed(2, 3),
        record("instance started: ready_ms=1", START_NS + 3 * MS, stream="platform"),
        record("report outcome=answered, says the function", START_NS + 4 * MS, stream="stdout"),
        platform_lines.of_call(report(5)),
    ]  # fmt: skip
    old = tmp_path / FOLDER / segment_file(START_NS, "0123456789ab", 1)
    assert old.suffix == ".log"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"".join(encode(one, number) for number, one in enumerate(mixed, 1)))
    whole = [one.text for one in mixed]
    shown = [one.text for one in mixed if not one.is_quiet_report]
    assert len(shown) == len(whole) - 2
    for reports, wanted in ((True, whole), (False, shown)):
        assert texts(read(tmp_path, "default", "hello", Query(reports=reports))) == wanted
        assert texts(read(tmp_path, "default", "hello", Query(reports=reports, tail=3))) == wanted[-3:]
        follower = Followers(tmp_path, Clock()).follow("default", "hello", Query(since=1, reports=reports))
        assert drain(follower) == (wanted, 0)
    with_both = Writer(tmp_path)
    quiet(with_both, 6, 8)
    with_both.append([record("of now", START_NS + 9 * MS)])
    assert with_both.close()
    assert texts(read(tmp_path, "default", "hello", Query())) == [*shown, "of now"]
    assert len(everything(tmp_path, query=WITH_REPORTS)) == len(whole) + 3


def test_followers_with_reports_and_without_get_theirs_and_go_on_from_their_cursors(
    writer: Writer, tmp_path: Path
) -> None:
    followers = Followers(tmp_path, Clock())
    plain, full = followers.follow("default", "hello"), followers.follow("default", "hello", WITH_REPORTS)
    assert drain(plain) == drain(full) == ([], 0)
    for first in range(0, 40, 10):
        writer.append(lines(5, first))
        quiet(writer, first, first + 5)
        assert drain(plain) == ([str(n) for n in range(first, first + 5)], 0)
        found, gap = drain(full)
        assert (len(found), gap) == (10, 0)
    writer.append(lines(5, 100))
    quiet(writer, 100, 105)
    again = followers.follow("default", "hello", WITH_REPORTS, cursor=full.cursor)
    assert len(drain(again)[0]) == 10
    # Who goes on without reports from a cursor that knows of them misses none of the rest.
    assert drain(followers.follow("default", "hello", cursor=full.cursor))[0] == [
        str(n) for n in range(100, 105)
    ]


def test_reports_go_with_their_function(writer: Writer, tmp_path: Path) -> None:
    quiet(writer, 0, 5)
    writer.append(failed(0, 5))
    assert writer.flush()
    assert {one.kind for one in segments_of(tmp_path / FOLDER)} == {"platform", "reports"}
    writer.forget("default", "hello")
    delete(tmp_path, "default", "hello")
    assert not (tmp_path / "default").exists()


def test_while_a_disk_refuses_reports_leave_room_for_lines_and_their_loss_is_said_among_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "default").write_text("")  # no folder can be made
    writer = Writer(tmp_path, buffer_bytes=400_000)
    for first in range(0, 5000, 100):
        writer.append_reports(
            "default", "hello", [platform_lines.ready(report(n)) for n in range(first, first + 100)]
        )
    lost = writer.dropped
    assert lost > 0
    writer.append(lines(500))
    assert writer.dropped == lost, "no line was lost for them"
    (tmp_path / "default").unlink()
    assert writer.close()
    assert [one.text for one in everything(tmp_path)] == [str(n) for n in range(500)]
    said = [one.text for one in everything(tmp_path, query=WITH_REPORTS) if "dropped" in one.text]
    assert said == [
        f"{lost} log records were dropped: they could not be written to the server's disk in time"
    ]
