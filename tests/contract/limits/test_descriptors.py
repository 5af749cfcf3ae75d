"""``open_files``: descriptors of a process.  OSError, too many open files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.limits.conftest import Limited
from tests.support.bystander import Bystander
from tests.support.envelope import assert_envelope

MOST = 24
# Standard input, output and error, and the two pipes of the platform.
OF_OURS = 5
OPEN = """
kept = []
def open_many():
    for _ in range(100):
        kept.append({one})
what = seen(open_many)
found = [what, len(kept)]
"""
CLOSE = """
for one in kept:
    for end in one if isinstance(one, tuple) else [one]:
        os.close(end) if isinstance(end, int) else end.close()
"""


@pytest.fixture
def few(limited: Callable[..., Limited]) -> Limited:
    return limited("descriptors", open_files=MOST)


@pytest.mark.parametrize(
    ("one", "each"),
    [("open('/dev/null')", 1), ("os.pipe()", 2), ("socket.socketpair()", 2), ("tempfile.TemporaryFile()", 1)],
    ids=["files", "pipes", "sockets", "temporary"],
)
def test_one_descriptor_too_many_is_an_os_error_whatever_it_stands_for(
    few: Limited, bystander: Bystander, one: str, each: int
) -> None:
    for _ in range(2):  # what was closed can be opened again
        what, made = few.run(OPEN.format(one=one) + CLOSE)
        assert (what["type"], what["errno"]) == ("OSError", "EMFILE")
        assert "Too many open files" in what["text"]
        assert made * each in (MOST - OF_OURS, MOST - OF_OURS - 1)


def test_too_many_that_a_function_does_not_catch_are_its_own_500_and_the_instance_ends(
    few: Limited, bystander: Bystander
) -> None:
    before = few.state()
    code = "kept = [open('/dev/null') for _ in range(100)]"
    error = assert_envelope(few.send(code), 500, "OSError", "Too many open files", is_invoked=True)
    assert error["details"]["exception_type"] == "OSError"
    assert few.state()["instance"] != before["instance"]


def test_descriptors_that_are_never_closed_end_their_instance_and_no_other(
    few: Limited, limited: Callable[..., Limited], bystander: Bystander
) -> None:
    leak = (
        "sys.modules['kept'] = kept = []\nfound = seen(lambda: [kept.append(os.dup(0)) for _ in range(99)])"
    )
    for _ in range(3):
        before = few.state(leak)
        assert before["found"]["errno"] == "EMFILE"
        # The platform's own are open already: the answer and the log of that call went out.
        after = few.state("print('a line')\nfound = seen(lambda: open('/dev/null').close())")
        assert after["found"] is None
        assert after["instance"] != before["instance"]
    other = limited("descriptors-other", open_files=MOST)
    assert other.run("found = seen(lambda: open('/dev/null').close())") is None


# What needs several at once may fail while one is left.
SEVERAL = {
    "pipes": "os.pipe()",
    "sockets": "socket.socketpair()",
    "processes with pipes": (
        "subprocess.Popen([sys.executable], **dict.fromkeys(['stdin', 'stdout', 'stderr'], subprocess.PIPE))"
    ),
}


@pytest.mark.parametrize("what", SEVERAL)
def test_a_function_that_catches_that_it_gets_none_of_several_serves_no_other_call(
    few: Limited, what: str
) -> None:
    leak = (
        "import subprocess\nsys.modules['kept'] = kept = []\n"
        f"found = seen(lambda: [kept.append({SEVERAL[what]}) for _ in range(99)])"
    )
    before = few.state(leak)
    assert before["found"]["errno"] == "EMFILE"
    assert few.state()["instance"] != before["instance"]


@pytest.mark.promise("T82")
def test_no_pipe_can_be_made_larger_than_a_new_one_is(few: Limited) -> None:
    """Where the platform's own are the server's user's, who has 64 MiB of them in all."""
    found = few.run(
        "import fcntl\nfound = []\n"
        "for end in [1, 2, 3, 4, os.pipe()[1]]:\n"
        "    for size in ((1 << 16) + 1, 1 << 20, 1 << 31):\n"
        "        refused = seen(lambda: fcntl.fcntl(end, 1031, size))\n"
        "        found.append([refused and refused['errno'], fcntl.fcntl(end, 1032) <= 1 << 16])\n"
    )
    assert found == [["EPERM", True]] * 15
