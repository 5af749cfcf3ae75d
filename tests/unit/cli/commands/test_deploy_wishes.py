"""What a deploy asks for, and how it says what it changed."""

from __future__ import annotations

from supervisor.cli.commands.deploy_wishes import VALUE_MAX_CHARS, Wanted, changes

BASE = {"source": {"code": "eA=="}}
BEFORE = {
    "digest": "a",
    "template": "python3.11",
    "description": "",
    "options": {"cpu": 2},
    "env": {"A": "1"},
}


def test_a_merge_names_only_what_changes_and_null_takes_away() -> None:
    assert Wanted(BASE).to_merge() == BASE
    wanted = Wanted(BASE, {"timeout": 3}, {"B": "2"}, unset=("cpu",), unset_env=("A",))
    assert wanted.to_merge() == BASE | {"options": {"cpu": None, "timeout": 3}, "env": {"A": None, "B": "2"}}


def test_a_replacement_names_everything_and_a_creation_its_runtime() -> None:
    assert Wanted(BASE).to_replace() == BASE | {"options": {}, "env": {}}
    assert Wanted(BASE, unset=("cpu",)).to_replace()["options"] == {"cpu": None}
    made = Wanted(BASE | {"description": "d"}, {"cpu": 1}, unset=("tmp",)).to_create("shop")
    assert made == BASE | {
        "name": "shop", "template": "python3-http", "description": "d", "options": {"tmp": None, "cpu": 1}
    }  # fmt: skip
    assert Wanted({**BASE, "template": "python3.9"}).to_create("x")["template"] == "python3.9"


def test_every_change_is_told_in_a_few_words_and_nothing_else() -> None:
    assert changes(BEFORE, BEFORE | {"version": 9, "status": "Failed"}) == []
    after = BEFORE | {"digest": "b", "template": "python3.12", "options": {}, "env": {"A": "2", "B": ""}}
    assert changes(BEFORE, after) == [
        "code", "runtime python3.11 → python3.12", "cpu 2 → default", "env A 1 → 2", "env B none → ''"
    ]  # fmt: skip
    (long,) = changes(BEFORE, BEFORE | {"description": "x" * 900})
    assert len(long) <= len("description '' → ") + VALUE_MAX_CHARS


def test_what_a_server_answers_cannot_break_the_telling() -> None:
    assert changes({"options": 3, "env": None}, {"options": [], "env": "x"}) == []
