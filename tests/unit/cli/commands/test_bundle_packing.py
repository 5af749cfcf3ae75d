"""What ``cellblock deploy`` makes of a path."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from supervisor.cli.command_errors import USAGE, CommandFailure
from supervisor.cli.commands import bundle_packing
from supervisor.cli.commands.bundle_packing import default_name, is_ignored, read_bundle


def folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names_in(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()


def test_a_python_file_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "hello.py"
    path.write_bytes(b"def handle(req):\r\n    return {}\n")

    found = read_bundle(path)

    assert found.content == b"def handle(req):\r\n    return {}\n"
    assert found.handler == str(path)


def test_a_folder_becomes_a_zip_of_its_files_in_order(tmp_path: Path) -> None:
    folder(tmp_path, {"z.txt": "z", "handler.py": "x", "lib/b.py": "b", "lib/a.py": "a", "lib.py": "l"})

    found = read_bundle(tmp_path)

    assert names_in(found.content) == ["handler.py", "lib.py", "lib/a.py", "lib/b.py", "z.txt"]
    assert found.handler == str(tmp_path / "handler.py")


def test_a_file_that_its_owner_may_execute_is_sent_as_such_and_with_no_other_mode(tmp_path: Path) -> None:
    folder(tmp_path, {"handler.py": "x", "bin/tool": "#!/bin/sh", "bin/data": "d"})
    (tmp_path / "bin/tool").chmod(0o4700)
    (tmp_path / "bin/data").chmod(0o2611)

    with zipfile.ZipFile(io.BytesIO(read_bundle(tmp_path).content)) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}

    assert modes == {"bin/data": 0o100644, "bin/tool": 0o100755, "handler.py": 0o100644}


def test_the_same_files_give_the_same_bytes_whatever_their_times_modes_and_order(tmp_path: Path) -> None:
    files = {"handler.py": "x", "a/one.txt": "1", "b/two.txt": "2"}
    first = folder(tmp_path / "first", files)
    second = folder(tmp_path / "second", dict(reversed(files.items())))
    (second / "a/one.txt").chmod(0o2600)
    os.utime(second / "handler.py", (1, 1))
    (second / "empty").mkdir()

    assert read_bundle(first).content == read_bundle(second).content


def test_caches_environments_and_history_stay_out(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {
            "handler.py": "x",
            "__pycache__/handler.pyc": "c",
            "lib/__pycache__/a.pyc": "c",
            ".git/config": "g",
            ".venv/bin/python": "p",
            "lib/a.py": "a",
        },
    )

    assert names_in(read_bundle(tmp_path).content) == ["handler.py", "lib/a.py"]


def test_the_ignore_file_keeps_out_what_it_lists_and_itself(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {
            "handler.py": "x",
            "notes.md": "n",
            "lib/notes.md": "n",
            "data/big.csv": "b",
            "lib/data": "a file of that name",
            "lib/only/this.txt": "t",
            "other/this.txt": "t",
            ".cellblockignore": "# remark\n\n*.md\ndata/\nlib/only/*\n",
        },
    )

    assert names_in(read_bundle(tmp_path).content) == ["handler.py", "lib/data", "other/this.txt"]


@pytest.mark.parametrize(
    ("name", "is_folder", "pattern", "expected"),
    [
        ("a.md", False, "*.md", True),
        ("deep/down/a.md", False, "*.md", True),
        ("a.MD", False, "*.md", False),
        ("lib/a.py", False, "lib/*", True),
        ("other/lib/a.py", False, "lib/*", False),
        ("data", False, "data/", False),
        ("data", True, "data/", True),
        ("deep/data", True, "data/", True),
        ("build", True, "/build", True),
        ("deep/build", True, "/build", False),
        ("file1.txt", False, "file[0-9].txt", True),
    ],
)
def test_a_pattern_means_what_the_documentation_says(
    name: str, is_folder: bool, pattern: str, expected: bool
) -> None:
    assert is_ignored(name, is_folder, (pattern,)) is expected


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_a_ready_archive_is_sent_as_it_is(tmp_path: Path, suffix: str) -> None:
    source = folder(tmp_path / "source", {"handler.py": "x"})
    path = tmp_path / f"shop{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(source / "handler.py", "handler.py")
    else:
        with tarfile.open(path, "w:gz" if suffix == ".tar.gz" else "w") as tar:
            tar.add(source / "handler.py", "handler.py")

    assert read_bundle(path).content == path.read_bytes()


def refused(path: Path) -> str:
    with pytest.raises(CommandFailure) as caught:
        read_bundle(path)
    assert caught.value.exit_code == USAGE
    return caught.value.message


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    says = refused(tmp_path / "absent")
    assert says.startswith(f"cannot deploy {tmp_path / 'absent'}: No such file or directory; give a .py file")
    (tmp_path / "shop.py").write_text("def handle(req): ...")
    assert refused(tmp_path / "shp.py").endswith(f"did you mean '{tmp_path / 'shop.py'}'?")


def test_a_folder_without_a_handler_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, {"main.py": "x"})

    assert "there is no handler.py in it" in refused(tmp_path)


def test_an_ignore_file_that_excludes_the_handler_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, {"handler.py": "x", ".cellblockignore": "*.py\n"})

    assert "excludes handler.py" in refused(tmp_path)


def test_a_file_that_is_neither_python_nor_an_archive_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, {"photo.jpg": "x"})

    assert "give a .py file, a folder with a handler.py, a zip or a tar" in refused(tmp_path / "photo.jpg")


def test_a_link_in_a_folder_is_refused_and_an_ignored_one_is_not(tmp_path: Path) -> None:
    root = folder(tmp_path / "shop", {"handler.py": "x"})
    (root / "passwords").symlink_to("/etc/passwd")

    assert "is a symbolic link; list it in .cellblockignore" in refused(root)

    (root / ".cellblockignore").write_text("passwords\n")
    assert names_in(read_bundle(root).content) == ["handler.py"]


def test_a_named_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    root = folder(tmp_path / "shop", {"handler.py": "x"})
    os.mkfifo(root / "pipe")
    os.mkfifo(tmp_path / "alone.py")

    assert "not a regular file" in refused(root)
    assert "neither a file nor a folder" in refused(tmp_path / "alone.py")


def test_a_name_that_a_terminal_or_an_archive_would_garble_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "shop", {"handler.py": "x"})
    (root / "a\x1b[31m.py").write_text("x")

    message = refused(root)

    assert "rename it" in message
    assert "\x1b" not in message


def test_a_folder_with_too_many_files_or_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path, {"handler.py": "x", "a": "1", "b": "2"})

    monkeypatch.setattr(bundle_packing, "BUNDLE_MAX_FILES", 2)
    assert "more than 2 files" in refused(root)

    monkeypatch.setattr(bundle_packing, "BUNDLE_MAX_FILES", 3)
    monkeypatch.setattr(bundle_packing, "BUNDLE_MAX_BYTES", 2)
    assert "more than 2 bytes" in refused(root)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("hello.py", "hello"),
        ("my_first Function.py", "my-first-function"),
        ("shop/handler.py", "shop"),
        ("Shop_2/handler.py", "shop-2"),
        ("shop.zip", "shop"),
        ("shop.tar.gz", "shop"),
        ("__init__.py", "init"),
        ("x" * 80 + ".py", "x" * 63),
    ],
)
def test_a_function_is_named_after_its_file_or_folder(tmp_path: Path, path: str, expected: str) -> None:
    assert default_name(tmp_path / path) == expected


def test_a_folder_that_is_named_by_a_dot_gives_its_real_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path / "Shop.v2", {"handler.py": "x"})
    monkeypatch.chdir(root)

    assert default_name(Path()) == "shop-v2"
    assert default_name(Path("handler.py")) == "shop-v2"
    assert default_name(root) == "shop-v2"


def test_a_path_that_gives_no_name_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(CommandFailure, match="give one with --name"):
        default_name(tmp_path / "___.py")
