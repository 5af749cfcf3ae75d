"""The ids of a user namespace: what is left of its two maps."""

from __future__ import annotations

import pytest

from supervisor.warden.jail.id_maps import count, has, read, shown, usable

WHOLE = "         0          0 4294967295\n"


@pytest.mark.parametrize(
    ("users", "groups", "ids"),
    [
        pytest.param(WHOLE, WHOLE, [range(1, 4294967295)], id="a-host"),
        pytest.param(
            "0 1001 1\n1 100000 65536\n", "0 1001 1\n1 100000 65536\n", [range(1, 65537)], id="rootless"
        ),
        pytest.param("0 100000 300\n", "0 100000 200\n", [range(1, 200)], id="fewer-groups"),
        pytest.param("0 1001 1\n", "0 1001 1\n", [], id="root-alone"),
        pytest.param("0 0 1\n", "0 0 1\n", [], id="the-hosts-root-alone"),
        # podman's keep-id: 1000 outside of root's id, which is the user's own; what is 0 above is left out.
        pytest.param(
            "0 1 1000\n1000 0 1\n1001 1001 64536\n",
            "0 1 1000\n1000 0 1\n1001 1001 64536\n",
            [range(1, 1000), range(1001, 65537)],
            id="keep-id",
        ),
        pytest.param("0 9 5\n10 90 5\n", "12 90 9\n", [range(12, 15)], id="only-what-both-have"),
        pytest.param("0 9 5\n", "20 90 9\n", [], id="nothing-in-common"),
        pytest.param("", "", [], id="no-map-yet"),
    ],
)
def test_what_is_a_user_and_a_group_and_nowhere_root_is_usable(
    users: str, groups: str, ids: list[range]
) -> None:
    assert list(usable(users, groups)) == ids


def test_ids_are_counted_shown_and_looked_up() -> None:
    ids = (range(1, 1000), range(1001, 1003))
    assert count(ids) == 1001
    assert shown(ids) == "1-999, 1001-1002"
    assert shown(()) == "none but root's"
    assert has(ids, 5, 999)
    assert not has(ids, 999, 1001)  # 1000 is not there


def test_this_process_has_the_ids_that_its_maps_say() -> None:
    assert all(0 not in found for found in read())
