"""``worker.answer.own_frames`` takes the platform's frames out of the traceback of any exception."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from worker.answer import own_frames
from worker.answer.failure import report_of
from worker.sandbox import places


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a bundle (``function``) and a platform package (``ours``)."""
    monkeypatch.setattr(places, "function_dir", str(tmp_path / "function"))
    monkeypatch.setattr(own_frames, "PLATFORM_FILES", (str(tmp_path / "ours") + "/",))
    return tmp_path


def function_of(path: Path, source: str, **names: Any) -> Callable[..., Any]:
    """The function ``f`` of a module that lies at this path."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    module: dict[str, Any] = dict(names)
    exec(compile(source, str(path), "exec"), module)
    found: Callable[..., Any] = module["f"]
    return found


def files_of(error: BaseException) -> list[str]:
    return [Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)]


def raised(call: Callable[..., Any], *arguments: Any) -> BaseException:
    try:
        call(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_frames_of_ours_are_gone_at_both_ends_and_between(bundle: Path) -> None:
    inmost = function_of(bundle / "ours/inmost.py", "def f(): raise ValueError\n")
    author = function_of(bundle / "function/handler.py", "def f(call): call()\n")
    between = function_of(bundle / "ours/between.py", "def f(call, *rest): call(*rest)\n")
    error = raised(between, author, lambda: between(author, inmost))
    own_frames.clean(error)
    assert files_of(error) == ["handler.py", "test_own_frames.py", "handler.py"]
    again = raised(lambda: (_ for _ in ()).throw(error))
    assert "between.py" not in files_of(again)  # for good: raising it again does not bring them back


def test_of_what_led_to_it_they_are_gone_too(bundle: Path) -> None:
    ours = function_of(bundle / "ours/ours.py", "def f(): raise KeyError('sku')\n")
    source = (
        "def f(call):\n    try:\n        call()\n    except KeyError as error:\n        try:\n"
        "            raise ValueError('a') from error\n        except ValueError:\n            [][0]\n"
    )
    error = raised(function_of(bundle / "function/handler.py", source), ours)
    own_frames.clean(error)
    chain = list(own_frames.chain_of(error))
    assert [type(each) for each in chain] == [IndexError, ValueError, KeyError]
    assert all(set(files_of(each)) == {"handler.py"} for each in chain)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with 3.11")
def test_of_the_members_of_a_group_they_are_gone_too(bundle: Path) -> None:
    ours = function_of(bundle / "ours/ours.py", "def f(): raise KeyError('sku')\n")
    author = function_of(bundle / "function/handler.py", "def f(call): call()\n")
    group = ExceptionGroup("g", [ExceptionGroup("h", [raised(author, ours)])])  # type: ignore[list-item]
    own_frames.clean(group)
    (inner,) = group.exceptions
    (member,) = inner.exceptions  # type: ignore[attr-defined]
    assert files_of(member) == ["test_own_frames.py", "handler.py"]


def test_a_chain_without_end_ends(bundle: Path) -> None:
    one, two = ValueError(1), ValueError(2)
    one.__cause__, two.__cause__ = two, one
    own_frames.clean(one)
    assert list(own_frames.chain_of(one)) == [one, two]
    last: BaseException = ValueError(0)
    for number in range(3 * own_frames.CHAIN_MOST):
        last, before = ValueError(number), last
        last.__context__ = before
    assert len(list(own_frames.chain_of(last))) == own_frames.CHAIN_MOST
    assert report_of(last).exception_info == str(3 * own_frames.CHAIN_MOST - 1)


class Hostile(Exception):
    """An exception whose attributes all raise."""

    __traceback__ = __cause__ = __context__ = property(lambda self: 1 / 0)  # type: ignore[assignment]
    exceptions = property(lambda self: 1 / 0)
    __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


def test_a_class_that_answers_nothing_is_asked_nothing(bundle: Path) -> None:
    source = "def f(kind):\n    raise kind('x')\n"
    error = raised(function_of(bundle / "function/handler.py", source), Hostile)
    own_frames.clean(error)
    assert report_of(error) == ("Hostile", "x", 2, "raise kind('x')", "handler.py")
    assert list(own_frames.chain_of(error)) == [error]


def test_where_only_a_library_stands_all_of_it_stays(bundle: Path) -> None:
    library = function_of(bundle / "library.py", "def f(): raise ValueError\n")
    ours = function_of(bundle / "ours/ours.py", "def f(call): call()\n")
    try:
        ours(library)
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next  # type: ignore[union-attr]
        own_frames.clean(error)
        assert files_of(error) == ["library.py"]
    else:
        raise AssertionError


def test_what_a_library_raises_after_the_authors_own_is_found_by_what_led_to_it(bundle: Path) -> None:
    """Python makes a RuntimeError of StopIteration in a coroutine, without a frame of the author's."""
    author = function_of(bundle / "function/handler.py", "def f():\n    next(iter([]))\n")
    ours = function_of(
        bundle / "ours/ours.py",
        "def f(call):\n    try:\n        call()\n    except StopIteration as error:\n"
        "        raise RuntimeError('r') from error\n",
    )
    error = raised(ours, author)
    assert report_of(error) == ("RuntimeError", "r", 2, "next(iter([]))", "handler.py")
    quiet = raised(ours, author)
    quiet.__cause__ = None  # ``from None``: Python does not show the cause, so its line is not named either
    assert report_of(quiet).line == 0 or report_of(quiet).file == "test_own_frames.py"
