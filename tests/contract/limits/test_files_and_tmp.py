"""``tmp``: a private ``/tmp`` of so many MiB.  OSError, no space left; gone with the instance."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.limits.conftest import Limited
from tests.support.bystander import Bystander
from tests.support.envelope import assert_envelope

MIB = 1 << 20
WRITE = """
def fill():
    with open("/tmp/large", "wb", buffering=0) as file:
        for _ in range({mebibytes} << 4):
            rest = 1 << 16
            while rest:
                rest -= file.write(bytes(rest))
what = seen(fill)
found = [what, os.path.getsize("/tmp/large")]
"""


@pytest.fixture
def two(limited: Callable[..., Limited]) -> Limited:
    return limited("tmp", tmp=2)


def test_a_byte_too_many_is_an_os_error_without_space_and_what_was_removed_is_there_again(
    two: Limited, bystander: Bystander
) -> None:
    for _ in range(2):
        what, size = two.run(WRITE.format(mebibytes=3) + "os.unlink('/tmp/large')")
        assert (what["type"], what["errno"]) == ("OSError", "ENOSPC")
        assert "No space left on device" in what["text"]
        # All that was asked for, but for what the file system needs for itself.
        assert MIB < size <= 2 * MIB


def test_what_is_left_can_be_asked_for(two: Limited, bystander: Bystander) -> None:
    ask = "stat = os.statvfs('/tmp')\nfound = [stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize]"
    total, free = two.run(ask)
    assert total == 2 * MIB
    assert 0 < free <= total


def test_without_the_option_there_are_64_mebibytes(
    limited: Callable[..., Limited], bystander: Bystander
) -> None:
    ask = "stat = os.statvfs('/tmp')\nfound = stat.f_blocks * stat.f_frsize"
    assert limited("tmp-default").run(ask) == 64 * MIB


def test_no_space_that_a_function_does_not_catch_is_its_own_500_and_stays_with_its_instance(
    two: Limited, bystander: Bystander
) -> None:
    before = two.state()
    code = "with open('/tmp/large', 'wb') as file:\n    file.write(bytes(3 << 20))"
    error = assert_envelope(two.send(code), 500, "OSError", "No space left", is_invoked=True)
    assert error["details"]["exception_type"] == "OSError"
    after = two.state("found = os.path.getsize('/tmp/large')")
    assert after["instance"] == before["instance"]
    assert after["found"] > 0, "what was written stays as long as the instance"
    two.run("os.unlink('/tmp/large')")


@pytest.mark.parametrize(
    "ending", ["os._exit(1)", "os.kill(os.getpid(), 9)"], ids=["exits", "is-killed"]
)  # fmt: skip
def test_what_an_instance_left_in_tmp_is_gone_when_it_died(
    two: Limited, bystander: Bystander, ending: str
) -> None:
    before = two.state("open('/tmp/kept', 'w').write('mine')\nos.mkdir('/tmp/folder')")
    assert two.run("found = sorted(os.listdir('/tmp'))") == ["folder", "kept"]
    assert two.send(ending).status_code == 502
    after = two.state("found = os.listdir('/tmp')")
    assert after["instance"] != before["instance"]
    assert after["found"] == []


def test_instances_of_one_function_have_a_tmp_each(
    limited: Callable[..., Limited], bystander: Bystander
) -> None:
    pair = limited("tmp-pair", tmp=2, max_instances=2)
    other = limited("tmp-other", tmp=2)
    full = WRITE.format(mebibytes=3)
    assert pair.run(full)[0]["errno"] == "ENOSPC"
    assert other.run("found = os.listdir('/tmp')") == []
    what, size = other.run(full)
    assert what["errno"] == "ENOSPC"
    assert size > MIB, "another's files are in the way"
