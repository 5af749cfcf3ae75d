"""What a bundle says that it imports."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from supervisor.bundles import imported_names
from supervisor.bundles.imported_names import ANY, BRINGS, MORE, imports_of, modules_of, names_in
from supervisor.warden.supply.preload import ImportProfile, preloaded_names, profile_of


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import pandas", {"pandas"}),
        ("import pandas as pd, numpy.linalg as la", {"pandas", "numpy"}),
        ("from pandas.io import json", {"pandas"}),
        ("def handle(req):\n    import pandas\n", {"pandas"}),
        ("try: import pandas\nexcept ImportError: pandas = None", {"pandas"}),
        ("import json; import pandas", {"pandas"}),
        ("from importlib import import_module\nimport_module('pandas.io')", {"pandas"}),
        ("import logging", {MORE}),
        ("import os, urllib.request\nimport pandas", {"pandas", MORE}),
        ("async def handle(req):\n    return None", {MORE}),
        ("class A:\n    async\tdef handle(self): ...", {MORE}),
        ("def handle(req):\n    return req.headers.get('x')", {MORE}),
        ("def handle(req):\n    return dict(req.query)", {MORE}),
        ('def handle(req):\n    return {"headers": {}, "body": query}', set()),
        ("async_def = headers = 1\nasyncdef handle", set()),
        ("from function import context, secrets", set()),
        ("import json, re, time, dataclasses", set()),
        ('p = __import__("pandas")', {"pandas"}),
        ("\timport\tpandas", {"pandas"}),
        ("import pandas\r\nimport numpy\r\n", {"pandas", "numpy"}),
        ("import (pandas", set()),
        ("from . import pandas", set()),
        ("from .pandas import numpy", set()),
        ("import json, os.path\nfrom collections import abc", set()),
        ("# import pandas", set()),
        ("important = 'x'\nfromage = 1", set()),
        ("", set()),
    ],
)
def test_names_that_source_imports_and_whether_it_uses_more_than_every_worker_has(
    source: str, names: set[str]
) -> None:
    assert names_in(source.encode()) == names


@pytest.mark.parametrize(
    "source",
    [
        b"import " + b"a" * 900_000,
        b"import " + b"a," * 450_000,
        b"from " * 180_000,
        b"import\t" * 130_000,
        b";" * 900_000,
        b": \t" * 300_000,
        b" " * 900_000 + b"import pandas",
        b"__import__(" * 80_000,
        b"import_module(  " * 50_000,
        bytes(range(256)) * 3_500,
    ],
)
def test_hostile_source_costs_no_more_than_its_length(source: bytes) -> None:
    began = time.process_time()
    names_in(source)
    # A quadratic reading of 900 kB would take minutes.
    assert time.process_time() - began < 5.0


def bundle(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_every_python_file_of_a_bundle_is_read(tmp_path: Path) -> None:
    files = {"handler.py": b"import mine", "mine/deep/a.py": b"import pandas", "data.txt": b"import numpy"}
    assert imports_of(bundle(tmp_path, files)) == ("pandas",)
    files = {"handler.py": b"import other, third", "third.py": b"import other, fourth\nimport handler"}
    assert imports_of(bundle(tmp_path / "b", files)) == ("=third", "fourth", "other")


@pytest.mark.parametrize(
    "files",
    [
        {"handler.py": b"", "fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF"},
        {"handler.py": b"", "old.pyc": b""},
        {"handler.py": b"#" * (imported_names.READ_MOST_BYTES + 1)},
        {f"m{number}.py": b"" for number in range(imported_names.FILES_MOST + 1)},
        {"handler.py": b"\n".join(b"import m%d" % number for number in range(imported_names.NAMES_MOST + 1))},
        {"handler.py": b"import " + b"m" * (imported_names.NAME_MOST_CHARS + 1)},
    ],
    ids=["compiled-c", "compiled-python", "too-much", "too-many-files", "too-many-names", "a-long-name"],
)
def test_what_cannot_be_told_may_be_anything(tmp_path: Path, files: dict[str, bytes]) -> None:
    found = imports_of(bundle(tmp_path, files))
    assert [name for name in found if not name.startswith(BRINGS)] == [ANY]


def test_what_cannot_be_read_may_be_anything(tmp_path: Path) -> None:
    bundle(tmp_path, {"handler.py": b"import json"})
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    assert imports_of(tmp_path) == (ANY,)
    assert imports_of(tmp_path / "nowhere") == ()


def test_what_a_bundle_brings_itself_is_said_of_modules_and_packages_only(tmp_path: Path) -> None:
    files = ("handler.py", "a.py", "b/__init__.py", "c.cpython-311-x86_64-linux-gnu.so", "d.so", "e/data.py",
             "f.txt", "g.tar.py", "h-i.py", "README", "j/__init__.pyc")  # fmt: skip
    bundle(tmp_path, dict.fromkeys(files, b""))
    assert modules_of(tmp_path) == {"a", "b", "c", "d", "j"}
    assert imports_of(tmp_path) == ("=a", "=b", "=c", "=d", "=j", ANY)


@pytest.mark.parametrize(
    "names",
    [("queue",), ("email/__init__",), [f"m{number}" for number in range(imported_names.BROUGHT_MOST + 1)]],
)
def test_one_of_the_standard_librarys_or_many_is_said_in_one_word(tmp_path: Path, names: list[str]) -> None:
    bundle(tmp_path, {f"{name}.py": b"" for name in names})
    assert imports_of(tmp_path) == (BRINGS,)


@pytest.mark.parametrize(
    ("names", "preload", "expected"),
    [
        ((), (), ImportProfile.OWN),
        ((), ("pandas",), ImportProfile.OWN),
        ((MORE,), ("pandas",), ImportProfile.COMMON),
        (("json5",), ("pandas",), ImportProfile.COMMON),
        (("pandas",), ("pandas",), ImportProfile.LIBRARIES),
        (("numpy", MORE), ("numpy.random",), ImportProfile.LIBRARIES),
        ((ANY,), ("pandas",), ImportProfile.LIBRARIES),
        ((ANY,), (), ImportProfile.COMMON),
        (("pandas",), (), ImportProfile.COMMON),
        # What the bundle brings is imported ahead by nobody, and nothing that may hold it.
        (("=mine", "pandas"), ("pandas",), ImportProfile.LIBRARIES),
        (("=requests", "pandas"), ("pandas",), ImportProfile.COMMON),
        (("=requests", ANY), ("pandas",), ImportProfile.COMMON),
        (("=requests",), ("pandas",), ImportProfile.OWN),
        (("=werkzeug", "pandas"), ("pandas",), ImportProfile.OWN),
        ((BRINGS, ANY), ("pandas",), ImportProfile.OWN),
        ((BRINGS, MORE), (), ImportProfile.OWN),
    ],
)
def test_a_function_has_the_least_imported_ahead_that_its_source_asks_for(
    names: tuple[str, ...], preload: tuple[str, ...], expected: ImportProfile
) -> None:
    assert profile_of(names, preload, {"requests", "werkzeug"}) is expected


def test_each_step_has_what_the_one_before_has_and_more() -> None:
    own, common, libraries = (set(preloaded_names(ahead, ["pandas"])) for ahead in ImportProfile)
    assert own < common < libraries
    assert libraries - common == {"pandas"}
