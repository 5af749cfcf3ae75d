"""User ids: never 0, never the server's, never two cells' at once."""

from __future__ import annotations

import itertools
import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import ConfigurationError
from supervisor.warden.cells import uid_pool
from supervisor.warden.cells.uid_pool import (
    BLOCK_IDS,
    DEFAULT_UID,
    FIRST_ORDINARY_ID,
    IDS_PER_CELL,
    RANGE_BLOCKS,
    RANGE_FIRST,
    UidPool,
    cell_ids,
    front_ids,
)
from supervisor.warden.jail.id_maps import LEAST_IDS

A_HOST = (range(1, (1 << 32) - 1),)
ROOTLESS = (range(1, 65_537),)  # as podman gives them to an ordinary user
MOST_CELLS = 16_384  # supervisor.settings.declarations: the bound of max_cells
MOST_ID = (1 << 32) - 2  # the highest that a process can have; the next one means "leave it"


@settings(derandomize=True, deadline=None, max_examples=50, database=None)
@given(st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1, max_size=30))
def test_every_data_directory_has_a_block_of_its_own_range(name: str) -> None:
    ids = cell_ids(Path("/srv") / name, None, DEFAULT_UID, A_HOST)
    first = ids[0]
    assert len(ids) == BLOCK_IDS
    assert (first - RANGE_FIRST) % BLOCK_IDS == 0
    assert RANGE_FIRST <= first < RANGE_FIRST + RANGE_BLOCKS * BLOCK_IDS
    assert ids == cell_ids(Path("/srv") / name, None, DEFAULT_UID, A_HOST)


def test_all_cells_of_a_server_fit_into_its_block_below_the_highest_id() -> None:
    assert MOST_CELLS * IDS_PER_CELL <= BLOCK_IDS
    assert RANGE_FIRST + RANGE_BLOCKS * BLOCK_IDS < 1 << 31
    highest_configured = 4_000_000_000
    assert highest_configured + MOST_CELLS * IDS_PER_CELL < MOST_ID


def test_two_names_of_one_directory_are_one_server(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert cell_ids(tmp_path / "link", None, DEFAULT_UID, A_HOST) == cell_ids(
        tmp_path / "data" / ".." / "data", None, DEFAULT_UID, A_HOST
    )


def test_a_configured_first_id_is_taken_as_it_is() -> None:
    assert cell_ids(Path("/srv/a"), 300_000, DEFAULT_UID, A_HOST)[0] == 300_000


@pytest.mark.promise("S182")
@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(
    st.lists(st.integers(0, 100_000), min_size=2, max_size=6, unique=True),
    st.integers(1, 100_000),
)
def test_cells_get_ids_that_the_namespace_has_and_never_the_fronts(edges: list[int], front: int) -> None:
    edges.sort()
    mapped = tuple(range(first + 1, last) for first, last in itertools.pairwise(edges) if last - first > 1)
    ids = cell_ids(Path("/srv/a"), None, front, mapped)
    assert front not in ids
    assert not ids or any(ids[0] in found and ids[-1] in found for found in mapped)


def test_a_rootless_container_gives_the_usual_number_of_cells_and_the_usual_front() -> None:
    assert front_ids(None, ROOTLESS) == (DEFAULT_UID, DEFAULT_UID)
    ids = cell_ids(Path("/srv/a"), None, DEFAULT_UID, ROOTLESS)
    assert (ids[0], ids[-1]) == (FIRST_ORDINARY_ID, DEFAULT_UID - 1)
    assert len(ids) // IDS_PER_CELL > MOST_CELLS


def test_of_few_ids_the_last_is_the_fronts_and_the_rest_are_the_cells() -> None:
    few = (range(1, LEAST_IDS + 1),)
    assert front_ids(None, few) == (LEAST_IDS, LEAST_IDS)
    assert cell_ids(Path("/srv/a"), None, LEAST_IDS, few) == range(1, LEAST_IDS)


def test_more_cells_than_there_are_ids_for_never_start() -> None:
    slots = UidPool(range(1, 8), 100)
    assert slots.free == 3
    slots.resize(200)
    assert [slots.ids(slots.take()) for _ in range(slots.free)] == [(1, 2), (3, 4), (5, 6)]


@pytest.mark.parametrize("configured", [100_000, 65_536])
def test_a_configured_first_id_that_the_namespace_lacks_is_refused_in_words(configured: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        cell_ids(Path("/srv/a"), configured, DEFAULT_UID, ROOTLESS)
    assert str(caught.value) == (
        f"setting cell_uid_base: this user namespace has no id {configured}, but 1-65536; "
        "choose one of these, or leave the setting out"
    )


@pytest.mark.needs_root
def test_a_front_user_that_the_namespace_lacks_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uid_pool.pwd, "getpwnam", nobody_there)
    with pytest.raises(ConfigurationError, match="no user 70000 with group 70000, but the ids 1-65536; name"):
        front_ids("70000", ROOTLESS)


@pytest.mark.needs_root
@pytest.mark.parametrize("mapped", [(), (range(1, LEAST_IDS),)])
def test_a_root_without_ids_is_refused_in_words(mapped: tuple[range, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"give it a range .* or start as an ordinary user"):
        front_ids(None, mapped)


def test_slots_are_given_lowest_first_and_only_once() -> None:
    slots = UidPool(range(1000, 2000), 3)
    assert [slots.take(), slots.take(), slots.take()] == [0, 1, 2]
    assert slots.free == 0
    with pytest.raises(IndexError):
        slots.take()
    slots.give_back(1)
    assert (slots.free, slots.take()) == (1, 1)


def test_no_two_cells_share_an_id_and_none_is_roots_or_the_fronts() -> None:
    slots = UidPool(range(RANGE_FIRST, RANGE_FIRST + BLOCK_IDS), 500)
    used = [one for _ in range(500) for one in slots.ids(slots.take())]
    assert len(set(used)) == 1000
    assert not {0, os.getuid(), DEFAULT_UID} & set(used)


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.lists(st.integers(0, 9), max_size=60))
def test_whoever_comes_and_goes_ids_are_never_shared(moves: list[int]) -> None:
    slots = UidPool(range(5000, 6000), 8)
    held: list[int] = []
    for move in moves:
        if move < 6 and slots.free:
            slot = slots.take()
            assert slot not in held
            held.append(slot)
        elif held:
            slots.give_back(held.pop(move % len(held)))
        assert slots.free + len(held) == 8
    ids = [one for slot in held for one in slots.ids(slot)]
    assert len(set(ids)) == len(ids)


def nobody_there(name: str) -> pwd.struct_passwd:
    """A host that does not have that user."""
    raise KeyError(name)


@pytest.mark.needs_root
def test_the_fronts_have_a_user_even_where_none_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uid_pool.pwd, "getpwnam", nobody_there)
    assert front_ids(None, A_HOST) == (DEFAULT_UID, DEFAULT_UID)


@pytest.mark.needs_root
def test_the_fronts_user_is_looked_up_by_name_or_taken_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody")
    assert front_ids("nobody", A_HOST) == (nobody.pw_uid, nobody.pw_gid)
    monkeypatch.setattr(uid_pool.pwd, "getpwnam", nobody_there)
    assert front_ids("1234", A_HOST) == (1234, 1234)


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("user", "message"),
    [
        (
            "no-such-user-here",
            "setting user: there is no user 'no-such-user-here'; create it or name another",
        ),
        ("-1", "setting user: there is no user '-1'; create it or name another"),
        ("root", "setting user: the fronts may not run as root; name another user"),
        ("0", "setting user: the fronts may not run as root; name another user"),
        ("00", "setting user: the fronts may not run as root; name another user"),
        ("4294967296", "setting user: there is no user '4294967296'; create it or name another"),
        ("4294967295", "setting user: there is no user '4294967295'; create it or name another"),
        ("\u0663", "setting user: there is no user '\u0663'; create it or name another"),
        ("\u00b2", "setting user: there is no user '\u00b2'; create it or name another"),
    ],
)
def test_a_user_that_cannot_be_is_refused_in_words(user: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        front_ids(user, A_HOST)
    assert str(caught.value) == message
