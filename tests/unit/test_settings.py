"""Where the server's settings come from, and the one line for each that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.errors import ConfigurationError
from supervisor.options import DEFAULT_CEILINGS
from supervisor.settings import load


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CELLBLOCK_CONFIG", "CELLBLOCK_WORKERS"):
        monkeypatch.delenv(name, raising=False)


def test_an_option_wins_over_a_variable_and_a_variable_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "cellblock.toml"
    path.write_text("workers = 3\nqueue_depth = 30\n")
    assert load(path).workers == 3
    monkeypatch.setenv("CELLBLOCK_WORKERS", "4")
    assert load(path).workers == 4
    assert load(path, workers=5).workers == 5
    assert load(path, workers=None).queue_depth == 30


def test_the_file_may_be_named_by_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "cellblock.toml"
    path.write_text("workers = 7\n")
    monkeypatch.setenv("CELLBLOCK_CONFIG", str(path))
    assert load().workers == 7


def test_a_ceiling_from_a_variable_is_a_number_and_not_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was kept as text, and every deploy that named the option ended in a TypeError."""
    monkeypatch.setenv("CELLBLOCK_CEILINGS__TIMEOUT", "60")
    assert load().all_ceilings == {**DEFAULT_CEILINGS, "timeout": 60.0}


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("WORKERS", "0", "cannot use setting workers"),
        ("BIND", "8080", "must be HOST:PORT"),
        ("PRELOAD", "numpy", "is written as JSON"),
        ("CEILINGS__TIMEOUT", "-1", "cannot use setting ceilings"),
        ("CEILINGS__TIEMOUT", "1", "unknown option 'tiemout'"),
        ("DEFAULTS__MEMORY", "much", "cannot use setting defaults.memory"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str
) -> None:
    monkeypatch.setenv(f"CELLBLOCK_{name}", value)
    with pytest.raises(ConfigurationError) as refused:
        load()
    assert what in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("wrokers = 1\n", "wrokers"),
        ("workers = \n", "cannot read the settings file"),
        ("[defaults]\ntimeuot = 1\n", "defaults.timeuot"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_its_mistake(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "cellblock.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load(path)
    assert what in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        load(tmp_path / "none.toml")
