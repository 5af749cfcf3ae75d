"""Controls of how processes end: with books as they were, the same deaths take the others' places."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.escape.neighbour import Tenant
from tests.fault.conftest import MakeSmall
from tests.fault.test_cells_that_die import DEAF, GOES_ON
from tests.fault.test_every_ending import DIER, LYING_TEMPLATE, MOST_CELLS, QUIET, replicas
from tests.support.eventually import eventually
from tests.support.old_books import OLD_BOOKS
from tests.support.processes import processes_of_mark
from tests.support.server import Server
from tests.support.weakened import WARDEN, Change, weakened_tree

# A number that ``signal.Signals`` does not know, and that the kernel kills by all the same.
NAMELESS = 40
# As long as a first answer waits for a place: it never comes.
QUEUE_SECONDS = 1
# What lives or starts answers one of these.
REFUSED_IN_A_ROW = 4
# A server that counts the dead waits for them at its end.
GO_AT_ONCE = Change(WARDEN, "REAP_SECONDS = 0.1", old="REAP_SECONDS = 5.0")


def kept_all(server: Server, name: str, most: int, content: bytes = b"") -> bool:
    """Whether the dead have all places of a function.  A busy machine refuses a call or two by itself."""
    answers = [server.call(name, content=content).status_code for _ in range(REFUSED_IN_A_ROW)]
    return not {200, 502} & set(answers) and replicas(server, name) == most


@pytest.mark.proof
@pytest.mark.needs_root
def test_control_with_books_as_they_were_both_take_all_places_and_another_space_gets_none(
    small_server: MakeSmall, tmp_path: Path
) -> None:
    python = weakened_tree(tmp_path, frozenset(), *OLD_BOOKS, GO_AT_ONCE, self_test=True)
    with small_server(python=python, max_cells=MOST_CELLS, queue_seconds=QUEUE_SECONDS) as server:
        quiet = Tenant(server, "quiet")
        for name in ("before", "after"):
            quiet.deploy(name, QUIET)
        assert quiet.call("before").text == "quiet"
        quiet.remove("before")
        half = MOST_CELLS // 2
        # A template says of its call's process what no process ends by.
        source = LYING_TEMPLATE.replace("STATUS", str(NAMELESS))
        server.deploy("liar", source, fresh=True, max_instances=half)
        eventually(lambda: kept_all(server, "liar", half), "it kept no place")
        # A process ends by what has no name.
        server.deploy("dier", DIER, max_instances=half)
        death = f"signal {NAMELESS}".encode()
        eventually(lambda: kept_all(server, "dier", half, death), "it kept no place")
        answer = quiet.call("after")
        assert answer.status_code == 503, answer.text
        assert answer.json()["error"]["details"]["reason"] == "capacity"


@pytest.mark.needs_root
def test_control_given_up_but_not_killed_a_process_without_its_channel_goes_on_and_keeps_its_place(
    small_server: MakeSmall, tmp_path: Path
) -> None:
    only_given_up = Change(
        "supervisor/front/pool/instance.py", "self._end, Ending(\"exited\", 0, 0, DEAF))",
        old="self._end_as, Ending(\"exited\", 0, 0, DEAF), \"hung up\")",
    )  # fmt: skip
    python = weakened_tree(tmp_path, frozenset(), only_given_up, self_test=True)
    with small_server(python=python, queue_seconds=QUEUE_SECONDS) as server:
        server.deploy("goes-on", DEAF.format(at_import=""), max_instances=1, timeout=2)
        mark = server.call("goes-on").text
        assert server.call("goes-on", content=GOES_ON["neither pipe"].encode()).status_code == 502
        assert server.call("goes-on").status_code in (429, 503), "its place is kept"
        assert processes_of_mark(server.pid, mark), "long after its time limit"
