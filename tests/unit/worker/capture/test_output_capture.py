"""``worker.capture``: what Python writes is in the pipe at once, and ``print`` behaves as always."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.front.logs.pipe_parser import Line, PipeParser

ROOT = Path(__file__).parents[4]
PRELUDE = """
import os, sys, io
from worker import interpreter_hooks
from worker.capture import output_capture
from worker.imports.import_hooks import once_imported
interpreter_hooks.install()
"""


def lines(code: str, descriptor: int = 1, before: str = "") -> list[Line]:
    """The lines of a process with our streams, which ends without flushing anything."""
    command = [sys.executable, "-c", f"{before}{PRELUDE}{code}\nos._exit(0)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30, check=True)
    found: list[Line] = []
    stream = PipeParser(-1, "stdout")
    stream._cut(done.stdout if descriptor == 1 else done.stderr, found)
    return found + stream.last()


def test_what_was_written_is_there_though_the_process_ends_at_once() -> None:
    assert lines("sys.stdout.write('half')") == [Line(b"half")]
    assert lines("print('half', end='')") == [Line(b"half")]
    assert lines("sys.stdout.buffer.write(b'\\xff')") == [Line(b"\xff")]


def test_text_of_a_call_is_framed_with_its_number_and_text_of_none_is_not() -> None:
    code = "output_capture.attribute(lambda: number)\nfor number in (0, 7): "
    code += "print('x' * 10_000); sys.stdout.write('y\\nz')"
    assert lines(code) == [
        Line(b"x" * 10_000), Line(b"y"), Line(b"x" * 10_000, 7), Line(b"y", 7), Line(b"z"), Line(b"z", 7),
    ]  # fmt: skip


def test_an_entry_goes_to_the_pipe_or_to_the_stream_that_the_author_put_there() -> None:
    assert lines("output_capture.entry('a\\nb\\n', 'error')", 2) == [Line(b"a\nb", 0, "error")]
    code = "sys.stderr = io.StringIO()\noutput_capture.entry('a\\nb', 'error')\n"
    code += "print(repr(sys.stderr.getvalue()))"
    assert lines(code) == [Line(b"'a\\nb\\n'")]


@pytest.mark.parametrize("code", [
    "import logging\nlogging.warning('a\\nb')",
    "import threading, importlib\nimportlib.import_module('logging').warning('a\\nb')",
    "import logging.handlers as later\nlater.logging.warning('a\\nb')",
])  # fmt: skip
@pytest.mark.parametrize("before", ["", "import logging\n"], ids=["after-our-streams", "before-them"])
def test_a_log_record_is_one_entry_whenever_logging_was_imported(before: str, code: str) -> None:
    assert lines(code, 2, before) == [Line(b"WARNING:root:a\nb", 0, "warning")]


@pytest.mark.parametrize("before", ["", "import threading\n"], ids=["after-our-streams", "before-them"])
def test_what_a_thread_raises_is_one_entry_whenever_threading_was_imported(before: str) -> None:
    code = "import threading\nthread = threading.Thread(target=lambda: 1 / 0, name='t')\n"
    code += "thread.start()\nthread.join()"
    (entry,) = lines(code, 2, before)
    assert entry.level == "error"
    assert entry.data.startswith(b"Exception in thread t:\nTraceback")
    assert entry.data.endswith(b"ZeroDivisionError: division by zero")


def test_who_waits_for_a_module_is_told_once_and_imports_of_others_go_on() -> None:
    code = """
import sys
found = []
for name in ("wave", "netrc", "no_such_module"):
    once_imported(name, lambda module: found.append(module.__name__))
import wave
import colorsys, wave
try:
    import no_such_module
except ModuleNotFoundError as error:
    found.append(str(error))
import importlib
importlib.reload(wave)
print(found)
"""
    assert lines(code) == [Line(b"['wave', \"No module named 'no_such_module'\"]")]


def test_print_does_what_it_did() -> None:
    code = """
import contextlib, json, pickle
class Shop:
    say = print
found = []
with contextlib.redirect_stdout(io.StringIO()) as buffer:
    print("redirected", 1, sep="-", end="!")
found.append(buffer.getvalue())
other = io.StringIO()
print("other", file=other, flush=True)
found.append(other.getvalue())
for wrong in ({"sep": 1}, {"end": b""}, {"nonsense": 1}):
    try:
        print("x", **wrong)
    except TypeError:
        found.append("TypeError")
class Broken:
    def __str__(self):
        raise ValueError("mine")
try:
    print(Broken())
except ValueError:
    found.append("ValueError")
found.append(str(pickle.loads(pickle.dumps(print)) is print))
found.append(print.__name__ + " " + print.__module__ + " " + str(callable(print)))
sys.stdout = None
print("nowhere")
sys.stdout = sys.__stdout__
print("a", 1, None, sep=", ", end=".\\n")
print()
Shop().say("not a method")
print(json.dumps(found))
"""
    *plain, found = lines(code)
    assert [line.data for line in plain] == [b"a, 1, None.", b"", b"not a method"]
    assert json.loads(found.data) == [
        "redirected-1!", "other\n", "TypeError", "TypeError", "TypeError", "ValueError",
        "True", "print builtins True",
    ]  # fmt: skip


def test_a_record_is_one_entry_with_its_level_whoever_made_the_handler() -> None:
    code = """
import logging
log = logging.getLogger("shop")
log.propagate = False
log.addHandler(logging.StreamHandler(sys.stdout))
log.handlers[0].setFormatter(logging.Formatter("<%(message)s>"))
log.critical("two\\nlines")
log.handlers[0].terminator = "... "
log.error("as text")
text = io.StringIO()
log.handlers[0].setStream(text)
log.error("elsewhere")
print(text.getvalue())
"""
    assert lines(code) == [Line(b"<two\nlines>", 0, "critical"), Line(b"<as text>... <elsewhere>... ")]
