"""What is said of a bundle whose modules have the names of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.bundles.shadows import SHOWN_MOST, STARTED_WITH, warnings_of
from worker.imports import namesakes


def bundle(folder: Path, *names: str) -> Path:
    for name in ("handler.py", *names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return folder


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("queue.py", "queue.py hides the standard library's module queue: "),
        ("email/__init__.py", "email/ hides the standard library's module email: "),
        ("types.py", "types.py hides the standard library's module types: "),
        ("os.py", "os.py is never imported: Python has its own module os "),
        ("sys.py", "sys.py is never imported: Python has its own module sys "),
        ("function.py", "function.py is never imported: the package function is the platform's"),
        ("function/__init__.py", "function/ is never imported: "),
    ],
)
def test_a_module_of_another_ones_name_is_named(tmp_path: Path, name: str, says: str) -> None:
    (found,) = warnings_of(bundle(tmp_path, name), "python3.11")
    assert found.startswith(says) and "rename it" in found


@pytest.mark.parametrize(
    "name",
    [
        "worker.py",
        "requests/__init__.py",
        "helper.py",
        "email/a.html",
        "json/a.py",
        "queue.txt",
        "msgpack.py",
    ],
)
def test_other_names_and_folders_of_data_are_nothing_to_speak_of(tmp_path: Path, name: str) -> None:
    assert warnings_of(bundle(tmp_path, name), "python3.11") == ()


def test_what_a_python_has_no_more_cannot_be_hidden_in_it(tmp_path: Path) -> None:
    bundle(tmp_path, "cgi.py", "imp.py")
    counts = [len(warnings_of(tmp_path, f"python3.{minor}")) for minor in (9, 11, 12, 13)]
    assert counts == [2, 2, 1, 0]


def test_many_are_counted(tmp_path: Path) -> None:
    names = [
        "ast",
        "cmd",
        "code",
        "copy",
        "csv",
        "dis",
        "enum",
        "glob",
        "gzip",
        "heapq",
        "hmac",
        "html",
        "json",
        "queue",
        "re",
        "random",
        "secrets",
        "shlex",
        "socket",
        "ssl",
        "string",
        "token",
        "types",
    ]
    found = warnings_of(bundle(tmp_path, *(f"{name}.py" for name in names)), "python3.12")
    assert len(found) == SHOWN_MOST + 1
    assert found[-1].startswith(f"{len(names) - SHOWN_MOST} more")


def test_what_is_said_to_be_never_imported_is_what_a_worker_leaves_in_its_place() -> None:
    assert namesakes.STARTED_WITH - {
        "__main__", "_bootlocale", "_frozen_importlib", "_frozen_importlib_external",
    } < STARTED_WITH  # fmt: skip
