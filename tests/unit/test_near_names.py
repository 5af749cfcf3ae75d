"""Which names a mistyped one may have meant."""

from __future__ import annotations

import pytest

from supervisor.near_names import COMPARED_MOST, LISTED_MOST, NAME_MOST_CHARS, hint, near


@pytest.mark.parametrize(
    ("typed", "known", "meant"),
    [
        ("wrokers", ["workers", "bind", "data_dir"], ["workers"]),
        ("timout", ["async_timeout", "timeout", "memory"], ["timeout"]),
        ("bat", ["cat", "hat", "blue"], ["hat", "cat"]),
        ("xyz", ["hello"], []),
        ("hello", [], []),
        ("x" * (NAME_MOST_CHARS + 1), ["x" * NAME_MOST_CHARS], []),
    ],
)
def test_the_nearest_names_come_first_and_far_ones_not_at_all(
    typed: str, known: list[str], meant: list[str]
) -> None:
    assert near(typed, known) == meant


def test_a_few_names_are_all_told_where_none_is_near_and_many_are_not() -> None:
    assert hint("xyz", ["b", "a"]) == "there are: a, b"
    assert hint("xyz", ["one"]) == "there is only: one"
    assert hint("xyz", [f"n{number}" for number in range(LISTED_MOST + 1)]) == ""
    assert hint("helo", ["hello", "a"]) == "did you mean 'hello'?"


def test_of_many_names_only_so_many_are_compared() -> None:
    endless = (f"name-{number}" for number in range(10**12))
    assert hint("xyz", endless) == ""
    assert next(endless) == f"name-{COMPARED_MOST}"
