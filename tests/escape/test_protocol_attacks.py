"""H. Protocol (76 to 79, 84 to 89): a hostile function writes raw bytes where its worker's answers go.

In every test a second tenant is answered before, meanwhile and after, the fronts stay alive and small, and
the connection of the hostile caller stays whole (``tests.escape.stage``).  What the same bytes do to a
careless reader is in ``test_protocol_controls.py``; headers and log lines are in ``test_answer_attacks.py``.
"""

from __future__ import annotations

import errno
import json
import re
import secrets

import pytest

from tests.escape.attacks import protocol
from tests.escape.stage import GONE_SECONDS, Stage, error_of
from tests.support.descriptors import places_in
from tests.support.envelope import assert_envelope
from tests.support.processes import all_gone_within, fronts_of, watch
from tests.support.server import TOKEN, Server
from tests.support.together import together

QUICKLY = ("X-Timeout", "0.4")
CRASHES = 12
CALLS_IN_WAIT = 300

pytestmark = pytest.mark.needs_sandbox


def assert_own_or_refused(stage: Stage, code: str) -> None:
    """The caller gets what its own function first said, or 502; the cell is gone."""
    answer = stage.ends_with(code)
    if answer.status == 200:
        assert answer.body == b"own"
    else:
        error_of(answer, 502, "protocol")


# ---- 76, 77: lengths and heads ------------------------------------------------------------------


@pytest.mark.parametrize("what", protocol.LENGTHS)
def test_076_a_false_length_costs_its_caller_a_502_and_the_front_no_memory(stage: Stage, what: str) -> None:
    error_of(stage.ends_with(protocol.LENGTHS[what]), 502, "protocol")


@pytest.mark.parametrize("what", protocol.LENGTHS_AFTER_AN_ANSWER)
def test_076_what_follows_an_answer_is_never_part_of_it(stage: Stage, what: str) -> None:
    assert_own_or_refused(stage, protocol.LENGTHS_AFTER_AN_ANSWER[what])


@pytest.mark.parametrize("what", protocol.HEADS)
def test_077_a_head_that_would_grow_when_read_costs_its_caller_a_502(stage: Stage, what: str) -> None:
    error_of(stage.ends_with(protocol.HEADS[what]), 502, "protocol")


# ---- 78: time -----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", protocol.SLOW)
def test_078_an_answer_that_is_not_whole_in_time_is_a_504(stage: Stage, what: str) -> None:
    details = error_of(stage.ends_with(protocol.SLOW[what], QUICKLY), 504, "timeout")
    assert details["limit_s"] == 0.4


def test_078_a_cell_that_does_not_read_holds_up_its_own_callers_only(stage: Stage) -> None:
    source = "import time\nasync def handle(req):\n    time.sleep(60)\n"
    body, calls = bytes(2 << 20), 4
    # Held until they can be written, and once more while they arrive.
    stage.most_growth += 2 * calls * len(body)
    stage.server.deploy("not-reading", source, max_instances=1, concurrency=10, timeout=0.5)
    ask = lambda: stage.server.call("not-reading", content=body)  # noqa: E731
    answers = together([ask] * calls)
    assert {answer.status_code for answer in answers} <= {504, 503}
    assert 504 in {answer.status_code for answer in answers}
    assert {answer.json()["error"]["details"]["reason"] for answer in answers} <= {"timeout", "neighbour"}


# ---- 79: order ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", protocol.OUT_OF_TURN)
def test_079_an_answer_to_another_call_is_nobodys(stage: Stage, what: str) -> None:
    error_of(stage.ends_with(protocol.OUT_OF_TURN[what]), 502, "protocol")


@pytest.mark.promise("T42")
@pytest.mark.parametrize("what", protocol.TWICE)
def test_079_a_second_answer_is_nobodys(stage: Stage, what: str) -> None:
    assert_own_or_refused(stage, protocol.TWICE[what])


@pytest.mark.parametrize("what", protocol.LATE)
def test_079_an_answer_while_no_call_runs_ends_the_cell(stage: Stage, what: str) -> None:
    answer = stage.ends_with(protocol.LATE[what])
    # The call itself was answered before, if the other cores let it.
    assert answer.status in (200, 502)
    assert b"forged" not in answer.body


@pytest.mark.parametrize("what", protocol.EARLY)
def test_079_an_answer_before_the_first_call_is_nobodys(stage: Stage, what: str) -> None:
    name = f"early-{what}"
    stage.server.deploy(name, f"{protocol.SOURCE}\n{protocol.EARLY[what]}\n", max_instances=1)
    for _ in range(2):
        error_of(stage.call("/", name=name), 502, "protocol")


# ---- 84, 85: the pipes --------------------------------------------------------------------------


def descriptors_of(server: Server) -> list[str]:
    """What the fronts hold, without connections, which are the callers'."""
    places = [place for pid in fronts_of(server.pid) for place in places_in(pid).values()]
    return sorted(place.partition(":")[0] for place in places if not place.startswith("socket:"))


def test_084_no_descriptor_can_be_passed_to_the_front(stage: Stage) -> None:
    before = descriptors_of(stage.server)
    answer = stage.attack(protocol.SCM_RIGHTS)
    assert answer.status == 200, answer
    found = json.loads(answer.body)
    assert found["found"] == {str(number): errno.ENOTSOCK for number in range(5)}
    assert found["control"] == "sent", "over a socket of its own the same message goes"
    assert descriptors_of(stage.server) == before


@pytest.mark.parametrize("what", protocol.PIPE_TRICKS)
def test_085_whatever_is_done_to_the_pipes_an_answer_is_whole_or_none(stage: Stage, what: str) -> None:
    answer = stage.attack(protocol.PIPE_TRICKS[what], QUICKLY)
    if answer.status == 200:
        assert answer.body in (b"L" * 900_000, b"own")
    elif answer.status == 504:
        error_of(answer, 504, "timeout")
    else:
        assert json.loads(answer.body)["error"]["details"]["reason"] in ("crashed", "protocol"), answer
    # The cell may have noticed only now: that is then this call's 502.
    assert stage.call("/").status in (200, 502)


def test_085_a_cells_own_end_of_a_pipe_cannot_be_opened_the_other_way(stage: Stage) -> None:
    assert stage.attack(protocol.REOPENED).body == b"%d" % errno.EACCES


# ---- 86, 87: the next call ----------------------------------------------------------------------


@pytest.mark.parametrize("what", protocol.NEXT_CALL)
def test_086_an_answer_that_lies_ready_for_the_next_call_ends_the_cell(stage: Stage, what: str) -> None:
    answer = stage.ends_with(protocol.NEXT_CALL[what])
    assert answer.status in (200, 502)
    assert b"forged" not in answer.body


@pytest.mark.parametrize("what", protocol.IN_WAIT)
def test_086_who_lies_in_wait_for_the_next_call_forges_its_own_functions_answers_only(
    stage: Stage, what: str
) -> None:
    before = stage.instance()
    cell = watch(stage.processes_of(before))
    assert stage.attack(protocol.IN_WAIT[what]).body.decode() == before
    asked = stage.answered
    answer = stage.call("/")
    for _ in range(CALLS_IN_WAIT):  # not every one is seen before the worker has read it
        if answer.body != before.encode():
            break
        answer = stage.call("/")
    # Not stopped: what a function says is what its own code says.  Or its cell was ended before it had read
    # the call, which another one then answered.
    assert answer.status == 502 or answer.body == b"forged" or re.fullmatch(rb"[0-9a-f]{16}", answer.body)
    assert all_gone_within(cell, GONE_SECONDS), "two answers to one call"
    assert stage.instance() != before
    stage.answered_since(asked, 2)


def test_087_a_function_that_spies_on_its_worker_sees_its_own_calls_only(stage: Stage) -> None:
    own, foreign = f"own-{secrets.token_hex(8)}", f"foreign-{secrets.token_hex(8)}"
    before = stage.instance()
    assert stage.attack(protocol.SPIES).body.decode() == before
    stage.call("/", own.encode(), ("X-Token", own))
    for _ in range(5):
        answer = stage.neighbour.call("peer", foreign.encode())
        assert answer.text == stage.secret + foreign
    stage.call("/", own.encode(), ("X-Token", own))
    told = stage.attack(protocol.TELL)
    assert told.status == 200, told
    seen = told.body.decode(errors="replace")
    assert own in seen, "the spies see nothing at all"
    for hidden in (foreign, stage.secret, TOKEN):
        assert hidden not in seen
    assert stage.instance() == before


def test_087_what_a_spy_says_at_its_end_has_nothing_of_the_neighbours(stage: Stage) -> None:
    read_so_far = len(stage.server.log)
    stage.ends_with(protocol.SPIES + "\nlater(b'garbage' * 10)")
    assert stage.secret not in stage.server.log[read_so_far:]
    assert TOKEN not in stage.server.log[read_so_far:]


# ---- 88: ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", protocol.ENDS)
def test_088_a_cell_that_ends_in_a_call_is_a_502_that_says_how(stage: Stage, what: str) -> None:
    code, signal, exit_code = protocol.ENDS[what]
    details = error_of(stage.ends_with(code), 502, "crashed")
    assert (details["signal"], details["exit_code"]) == (signal, exit_code)


def test_088_a_function_that_crashes_again_and_again_gets_a_new_cell_each_time(stage: Stage) -> None:
    for _ in range(CRASHES):
        error_of(stage.attack("os._exit(1)"), 502, "crashed")


# ---- 89: claims ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", protocol.CLAIMS)
def test_089_a_second_word_on_how_it_started_ends_the_cell(stage: Stage, what: str) -> None:
    error_of(stage.ends_with(protocol.CLAIMS[what]), 502, "protocol")


@pytest.mark.parametrize("what", protocol.EARLY_CLAIMS)
def test_089_a_function_that_speaks_before_its_worker_never_serves(stage: Stage, what: str) -> None:
    name = f"claims-{what}"
    stage.server.deploy(name, f"{protocol.SOURCE}\n{protocol.EARLY_CLAIMS[what]}\n", max_instances=1)
    for _ in range(2):
        answer = stage.call("/", name=name)
        if what == "failed" and answer.status == 500:  # it says so itself, and is heard alone
            assert_envelope(answer, 500, "forged", is_invoked=True)
        else:
            error_of(answer, 502, "protocol")


def test_089_nobody_is_left_to_be_told_a_false_self_test(stage: Stage) -> None:
    before = stage.server.client.get("/healthz").text
    answer = stage.attack(protocol.FALSE_PROOF)
    assert set(json.loads(answer.body).values()) == {errno.EBADF}
    assert stage.server.client.get("/healthz").text == before
