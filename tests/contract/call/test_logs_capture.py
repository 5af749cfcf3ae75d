"""What a function prints and logs, as lines of the server's own log, whose call and whose they are told."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.contract.call.conftest import Deploy
from tests.support.processes import all_gone_within, descendants_of, pid_namespace, watch
from tests.support.server import SPACE, Server

LINE = re.compile(
    r"^\S+ \S+ (?P<level>INFO|WARNING) cellblock\.function: (?P<space>[^/ ]+)/(?P<function>\S+) (?P<cell>\S+)"
    r" (?P<call>\S+?):? (?:(?P<stream>stdout|stderr): )?(?P<text>.*)$"
)
LINE_MAX = 16 * 1024


@dataclass(frozen=True)
class Entry:
    stream: str | None
    text: str
    call: str
    level: str


def entries(server: Server, name: str, call_id: str | None = None) -> list[Entry]:
    """The function's entries in the server's log, of one call or of all."""
    found = []
    for line in server.log.splitlines():
        match = LINE.match(line)
        if match and match["function"] == name and match["space"] == SPACE:
            entry = Entry(match["stream"], match["text"], match["call"], match["level"])
            if call_id is None or entry.call == call_id:
                found.append(entry)
    return found


def texts(server: Server, name: str, call_id: str) -> list[tuple[str | None, str]]:
    """Stream and text of a call's entries, warnings of ours left out."""
    return [(entry.stream, entry.text) for entry in entries(server, name, call_id) if entry.stream]


WRITER = """
import logging, os, subprocess, sys, warnings
log = logging.getLogger("shop")
print("at import")

def handle(req):
    exec(req.body)
"""


@pytest.fixture(scope="module")
def writer(server: Server, deploy: Deploy) -> str:
    return imported(server, deploy("writer", WRITER, max_instances=1))


def imported(server: Server, name: str) -> str:
    """Once: what its import writes is the log of the call that waits for that."""
    assert server.call(name, content="pass").status_code == 200
    return name


def write(server: Server, name: str, call_id: str, statements: str) -> list[tuple[str | None, str]]:
    """What the log has of a call that ran these statements, the moment its answer is here."""
    answer = server.call(name, content=statements, headers={"X-Call-Id": call_id})
    assert answer.status_code == 200, answer.text
    return texts(server, name, call_id)


def test_what_a_call_writes_is_in_the_log_with_its_call_id_before_its_answer(
    server: Server, writer: str
) -> None:
    found = write(
        server, writer, "write-1", "print('out')\nprint('err', file=sys.stderr)\nprint('two', 'words\\nline')"
    )
    assert sorted(found) == sorted(
        [("stdout", "out"), ("stderr", "err"), ("stdout", "two words"), ("stdout", "line")]
    )
    assert [text for stream, text in found if stream == "stdout"] == ["out", "two words", "line"]


def test_what_is_written_at_import_is_in_the_log_once_whatever_calls_follow(
    server: Server, writer: str
) -> None:
    server.call(writer, content="pass")
    (entry,) = [entry for entry in entries(server, writer) if entry.text == "at import"]
    assert entry.stream == "stdout"


def test_logging_works_as_the_pages_show_without_any_set_up(server: Server, writer: str) -> None:
    found = write(
        server,
        writer,
        "logging-1",
        "log.setLevel(logging.INFO)\nlog.debug('too low')\nlog.info('an %s', 'info')\nlog.error('an error')",
    )
    assert found == [("stderr", "an info"), ("stderr", "an error")]


def test_without_a_level_of_its_own_a_logger_has_pythons_default(server: Server, writer: str) -> None:
    found = write(
        server,
        writer,
        "logging-2",
        "other = logging.getLogger('other')\nother.info('no')\nother.warning('yes')",
    )
    assert found == [("stderr", "yes")]


def test_a_logged_exception_and_a_warning_are_in_the_log(server: Server, writer: str) -> None:
    found = write(
        server,
        writer,
        "logging-3",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('caught')\nwarnings.warn('careful')",
    )
    assert ("stderr", "caught") in found
    assert ("stderr", "ZeroDivisionError: division by zero") in found
    assert any("UserWarning: careful" in text for _, text in found)


def test_the_traceback_of_an_exception_shows_the_authors_frames_only(server: Server, deploy: Deploy) -> None:
    name = deploy("writer-raises", "def handle(req):\n    return inner()\ndef inner():\n    return 1 / 0\n")
    server.call(name, headers={"X-Call-Id": "raised-1"})
    lines = [text for _, text in texts(server, name, "raised-1")]
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    files = [line.split('"')[1] for line in lines if line.startswith("  File ")]
    assert files == ["/function/handler.py", "/function/handler.py"]


def test_the_output_of_child_processes_is_in_the_log_too(server: Server, writer: str) -> None:
    found = write(
        server,
        writer,
        "child-1",
        "subprocess.run(['/bin/sh', '-c', 'echo from a child; echo and its errors >&2'], check=True)",
    )
    assert sorted(found) == [("stderr", "and its errors"), ("stdout", "from a child")]


def test_descriptors_that_are_written_directly_are_in_the_log_too(server: Server, writer: str) -> None:
    assert write(server, writer, "direct-1", "os.write(1, b'one\\n')\nos.write(2, b'two\\n')") == [
        ("stdout", "one"),
        ("stderr", "two"),
    ]


def test_a_last_line_without_its_end_belongs_to_the_call_that_wrote_it(server: Server, writer: str) -> None:
    assert write(server, writer, "partial-1", "sys.stdout.write('no newline')") == [("stdout", "no newline")]
    assert write(server, writer, "partial-2", "print('next')") == [("stdout", "next")]


# ---- hostile output -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        (r"nul\x00nul", r"nul\x00nul"),
        (r"over\rwrite", r"over\x0dwrite"),
        (r"bell\x07\x08\x7f", r"bell\x07\x08\x7f"),
        (r"c1 \x9b31m", r"c1 \x9b31m"),
        (r"tab\tkept", "tab\tkept"),
        (r"é€\U0001f600", "é€\U0001f600"),
        (r"lone \ud800", r"lone \ud800"),
        (r"fake \u2028 line \u2029 ends", r"fake \u2028 line \u2029 ends"),
    ],
)
def test_what_a_terminal_or_a_reader_of_lines_would_act_on_is_escaped(
    server: Server, writer: str, written: str, shown: str
) -> None:
    assert write(server, writer, "escape-1", f"print('{written}')")[-1] == ("stdout", shown)


def test_bytes_that_are_no_utf_8_are_escaped(server: Server, writer: str) -> None:
    assert write(server, writer, "escape-2", "os.write(1, b'\\xff\\xc3\\n')") == [("stdout", r"\xff\xc3")]


def test_a_function_cannot_write_another_calls_entry(server: Server, writer: str) -> None:
    forged = (
        f"2026-01-01 00:00:00,000 INFO cellblock.function: {SPACE}/{writer} 0123456789 forged-1 stdout: mine"
    )
    write(server, writer, "forger-1", f"print('x\\n{forged}\\n\\r{forged}')")
    assert texts(server, writer, "forged-1") == []


# ---- volume ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bounded(server: Server, deploy: Deploy) -> str:
    limits = {"log_lines": 50, "log_bytes": 10_000, "timeout": 20}
    return imported(server, deploy("writer-bounded", WRITER, max_instances=1, **limits))


def dropped(server: Server, name: str, call_id: str) -> int:
    """How many lines the log says were dropped of a call."""
    warnings = [entry.text for entry in entries(server, name, call_id) if entry.level == "WARNING"]
    counts = [
        int(found[1]) for text in warnings if (found := re.match(r"(\d+) log lines were dropped", text))
    ]
    return sum(counts)


def test_lines_above_log_lines_are_dropped_and_counted(server: Server, bounded: str) -> None:
    found = write(server, bounded, "flood-1", "for n in range(5000): print(n)")
    assert [text for _, text in found] == [str(number) for number in range(50)]
    assert dropped(server, bounded, "flood-1") == 4950


def test_bytes_above_log_bytes_are_dropped_and_counted(server: Server, bounded: str) -> None:
    found = write(server, bounded, "flood-2", "for n in range(20): print('x' * 1000)")
    assert len(found) in (9, 10)
    assert dropped(server, bounded, "flood-2") == 20 - len(found)


def test_the_limits_begin_again_with_each_call(server: Server, bounded: str) -> None:
    write(server, bounded, "flood-3", "for n in range(200): print(n)")
    assert len(write(server, bounded, "flood-4", "for n in range(40): print(n)")) == 40
    assert dropped(server, bounded, "flood-4") == 0


def test_what_was_dropped_is_counted_though_the_call_never_answers(server: Server, deploy: Deploy) -> None:
    source = "import os\ndef handle(req):\n    for n in range(500): print(n)\n    os._exit(1)\n"
    name = deploy("writer-dies", source, log_lines=50, max_instances=1)
    assert server.call(name, headers={"X-Call-Id": "flood-5"}).status_code == 502
    assert len(texts(server, name, "flood-5")) == 50
    assert dropped(server, name, "flood-5") == 450


def test_a_line_of_ten_megabytes_is_cut_and_does_not_hide_the_next(server: Server, writer: str) -> None:
    found = write(server, writer, "long-1", "print('x' * 10_000_000)\nprint('after')")
    assert found[0][1].startswith("x" * 1000)
    assert found[0][1].endswith("(cut)")
    assert LINE_MAX <= len(found[0][1]) <= LINE_MAX + 100
    assert found[1:] == [("stdout", "after")]


def test_a_megabyte_without_a_line_end_is_cut_at_the_end_of_its_call(server: Server, writer: str) -> None:
    found = write(server, writer, "long-2", "sys.stdout.write('y' * 1_000_000)")
    assert len(found) == 1
    assert LINE_MAX <= len(found[0][1]) <= LINE_MAX + 100
    assert write(server, writer, "long-3", "print('next')") == [("stdout", "next")]


@pytest.mark.needs_root  # looks into processes of the server that are not dumpable
def test_what_an_instance_wrote_last_is_in_the_log_when_it_has_ended(server: Server, deploy: Deploy) -> None:
    source = (
        "import os, sys\ndef handle(req):\n"
        "    if req.body == b'where': return {'body': os.readlink('/proc/self/ns/pid')}\n"
        "    print('last words', end='', file=sys.stderr, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    name = deploy("writer-killed", source, max_instances=1)
    namespace = server.call(name, content=b"where").text
    gone = watch([pid for pid in descendants_of(server.pid) if pid_namespace(pid) == namespace])
    assert server.call(name, headers={"X-Call-Id": "killed-1"}).status_code == 502
    assert all_gone_within(gone, 5.0)
    assert texts(server, name, "killed-1") == [("stderr", "last words")]
