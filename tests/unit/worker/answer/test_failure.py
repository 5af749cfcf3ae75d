"""``worker.answer.failure`` turns any exception of tenant code into a report and a traceback."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker import wire
from worker.answer import failure
from worker.answer.failure import CODE_MAX_CHARS, INFO_MAX_CHARS, TYPE_MAX_CHARS, ExceptionReport, report_of
from worker.sandbox import places
from worker.serve.interrupts import raise_in


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as the bundle."""
    monkeypatch.setattr(places, "function_dir", str(tmp_path))
    return tmp_path


def raised_by(path: Path, source: str, argument: Any = None) -> BaseException:
    """What ``run(argument)`` of this module raises."""
    path.write_text(source)
    module: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), module)
    try:
        module["run"](argument)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def carried(found: ExceptionReport) -> tuple[Any, ...]:
    """The report after encoding and decoding, which refuses fields that do not fit."""
    (frame,) = wire.Decoder(wire.TO_FRONT).receive(wire.encode(wire.RAISED, 1, (*found, 5, 0, 0)))
    return frame.head[:5]


def test_the_line_is_the_authors_own_innermost_one(bundle: Path) -> None:
    error = raised_by(
        bundle / "handler.py", "def run(_):\n    return inner()\n\ndef inner():\n    return 1 / 0\n"
    )
    assert report_of(error) == ExceptionReport(
        "ZeroDivisionError", "division by zero", 5, "return 1 / 0", "handler.py"
    )


def test_a_line_of_a_library_is_not_the_authors(bundle: Path) -> None:
    error = raised_by(
        bundle / "handler.py", "import json\n\ndef run(text):\n    return json.loads(text)\n", "{"
    )
    assert report_of(error)[2:] == (4, "return json.loads(text)", "handler.py")


def test_an_exception_that_never_touched_the_bundle_has_its_innermost_line(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("library") / "library.py"
    error = raised_by(elsewhere, "def run(_):\n    raise KeyError('sku')\n")
    assert report_of(error) == ExceptionReport("KeyError", "'sku'", 2, "raise KeyError('sku')", "library.py")


def test_an_exception_without_a_traceback_has_no_line(bundle: Path) -> None:
    assert report_of(ValueError("never raised")) == ExceptionReport("ValueError", "never raised", 0, "", "")


def test_a_syntax_error_at_import_names_its_own_line_and_file(bundle: Path) -> None:
    path = bundle / "helper.py"
    with pytest.raises(SyntaxError) as caught:
        compile("x = 1\nif True\n    pass\n", str(path), "exec")
    assert report_of(caught.value) == ExceptionReport(
        "SyntaxError", "expected ':' (helper.py)", 2, "if True", ""
    )


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit("x")], ids=repr)
def test_what_is_no_exception_is_told_like_one(bundle: Path, error: BaseException) -> None:
    assert report_of(error)[:2] == (type(error).__name__, str(error))


class Hostile(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise LookupError("no text")


def test_an_exception_whose_text_raises_is_told_all_the_same(bundle: Path) -> None:
    assert report_of(Hostile()).exception_info == "<Hostile whose str raises LookupError>"


def test_every_field_is_cut_to_what_the_wire_carries(bundle: Path) -> None:
    error = type("N" * 5000, (Exception,), {})("i" * 50_000)
    found = report_of(error)
    assert (len(found.exception_type), len(found.exception_info)) == (TYPE_MAX_CHARS, INFO_MAX_CHARS)
    assert carried(found) == found
    line = "def run(_): raise ValueError(1); x = '" + "y" * 5000 + "'\n"
    found = report_of(raised_by(bundle / "handler.py", line))
    assert len(found.code) == CODE_MAX_CHARS
    assert carried(found) == found


def test_lone_surrogates_are_replaced(bundle: Path) -> None:
    assert report_of(ValueError("a\ud800b")).exception_info == "a?b"


def with_attributes(**attributes: Any) -> SyntaxError:
    """A SyntaxError as parsers of other languages raise it."""
    error = SyntaxError("bad")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    "error",
    [
        with_attributes(lineno="five"),
        with_attributes(lineno=5, msg=None),
        with_attributes(lineno=5, msg={"a": 1}, filename="x.py"),
        with_attributes(lineno=5, text=b"bytes"),
        with_attributes(lineno=5, text=7),
        with_attributes(lineno=5, filename=7),
        with_attributes(lineno=-5),
        with_attributes(lineno=1 << 70),
        with_attributes(lineno=True),
    ],
)
def test_a_syntax_error_made_by_hand_is_told_whatever_it_holds(bundle: Path, error: SyntaxError) -> None:
    found = report_of(error)
    assert carried(found) == found


def test_code_without_a_line_table_has_no_line(bundle: Path) -> None:
    source = compile("1 / 0", str(bundle / "handler.py"), "exec").replace(co_linetable=b"")
    with pytest.raises(ZeroDivisionError) as caught:
        exec(source)
    assert report_of(caught.value)[2:] == (0, "", "handler.py")


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.text(st.characters(), max_size=6000), st.text(st.characters(), max_size=50))
def test_any_text_fits_the_wire(info: str, name: str) -> None:
    try:
        error = type(name, (Exception,), {})(info)
    except (ValueError, UnicodeEncodeError):
        return  # a class cannot have this name
    found = report_of(error)
    assert carried(found) == found


def test_the_log_gets_the_traceback_without_the_platforms_frames(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = raised_by(bundle / "handler.py", "def run(_):\n    return 1 / 0\n")
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    failure.print_traceback(error)
    text = stream.getvalue()
    assert text.startswith("Traceback (most recent call last):\n")
    assert f'File "{bundle / "handler.py"}", line 2, in run' in text
    assert text.endswith("ZeroDivisionError: division by zero\n")
    assert "test_failure" not in text


def test_a_replaced_stderr_that_raises_costs_no_more_than_the_traceback(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def write(self, text: str) -> None:
            raise OSError("gone")

    original = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Broken())
    monkeypatch.setattr(sys, "__stderr__", original)
    failure.print_traceback(ValueError("x"))
    assert original.getvalue() == "ValueError (its traceback cannot be shown: OSError)\n"
    monkeypatch.setattr(sys, "__stderr__", None)
    failure.print_traceback(ValueError("x"))


def test_no_frame_of_ours_is_in_a_traceback_wherever_it_stands(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our signal handler raises MemoryError, so the innermost frame is ours."""
    source = (
        "import sys\ndef run(raise_in):\n    try:\n        raise_in(sys._getframe(), MemoryError('full'))\n"
        "    except MemoryError as error:\n        raise ValueError('mine') from error\n"
    )
    error = raised_by(bundle / "handler.py", source, raise_in)
    failure.print_traceback(error)
    text = capsys.readouterr().err
    assert "MemoryError: full" in text
    assert "ValueError: mine" in text
    assert text.count("handler.py") == 2
    assert "interrupts.py" not in text


def test_the_authors_hook_is_asked_and_what_it_writes_is_one_entry(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def hook(kind: type, error: BaseException, trace: Any) -> None:
        seen.append((kind, str(error), trace.tb_lineno))
        sys.stderr.write("one ")
        sys.stderr.write("entry\n")

    monkeypatch.setattr(sys, "excepthook", hook)
    failure.print_traceback(raised_by(bundle / "handler.py", "def run(_):\n    return 1 / 0\n"))
    assert seen == [(ZeroDivisionError, "division by zero", 2)]
    assert capsys.readouterr().err == "one entry\n"
    failure.print_traceback(SystemExit("bye"))  # Python calls no hook for it
    assert len(seen) == 1
    assert capsys.readouterr().err == "SystemExit: bye\n" + failure.EXIT_OF_IMPORT


def test_what_another_thread_writes_meanwhile_is_no_part_of_it(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Slow(Exception):
        def __str__(self) -> str:
            thread = threading.Thread(target=sys.stderr.write, args=("beside\n",))
            thread.start()
            thread.join()
            return "slow"

    failure.print_traceback(Slow())
    beside, rest = capsys.readouterr().err.split("\n", 1)
    assert beside == "beside"
    assert rest.endswith("Slow: slow\n")


def test_a_handler_that_cannot_be_called_is_named_with_its_line(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bundle / "handler.py"
    path.write_text("\n\ndef handle():\n    pass\n")
    module: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), module)
    error = TypeError("handle() takes 0 positional arguments but 1 was given")
    found = report_of(error, module["handle"])
    assert (found.line, found.code, found.file) == (3, "def handle():", "handler.py")
    failure.print_traceback(error, module["handle"])
    text = capsys.readouterr().err
    assert "called with one argument, the Event, as in: def handle(req); it is defined here:" in text
    assert f'  File "{path}", line 3, in handle\n    def handle():\n' in text
