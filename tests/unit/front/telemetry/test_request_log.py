"""The files of the request log, which all fronts append to."""

from __future__ import annotations

from pathlib import Path

from supervisor.front.telemetry.request_files import FILES, NAME, RequestFiles


def test_files_are_renamed_when_full_and_the_oldest_lines_go(tmp_path: Path) -> None:
    fronts = [RequestFiles(tmp_path / "requests", FILES * 100) for _ in range(3)]

    for number in range(200):
        fronts[number % 3].write(b"%049d\n" % number)

    names = sorted(path.name for path in (tmp_path / "requests").iterdir())
    assert set(names) <= {"lock", NAME, *(f"{NAME}.{number}" for number in range(1, FILES))}
    kept = [
        int(line)
        for name in sorted(
            names, key=lambda name: -int("0" + name.removeprefix(NAME).lstrip(".")) if name != "lock" else 0
        )
        if name != "lock"
        for line in (tmp_path / "requests" / name).read_text().splitlines()
    ]
    assert kept[-1] == 199
    assert kept == list(range(kept[0], 200)), "lines are lost, or not in order"
    assert sum(path.stat().st_size for path in (tmp_path / "requests").iterdir()) <= FILES * 150


def test_a_folder_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    files = RequestFiles(tmp_path / "requests", FILES * 1000)
    files.write(b"one\n")
    (tmp_path / "requests" / NAME).unlink()
    files.write(b"two\n")
    assert (tmp_path / "requests" / NAME).read_bytes() == b"two\n"
