"""``worker.sandbox.selftest``: a call that is refused as it should be gives evidence, any other a Breach."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from worker.sandbox import selftest
from worker.sandbox.selftest import BEFORE, Breach, Expected, before_the_filter, of_the_function, refused


def raising(number: int) -> Callable[[], Any]:
    """A call that fails with this errno."""

    def attempt() -> None:
        raise OSError(number, os.strerror(number))

    return attempt


EXPECTED = Expected("none", (1000, 1000), 1, {}, 0, 7, True, True, True)


def test_a_call_that_is_refused_as_expected_is_evidence() -> None:
    assert refused("mount", raising(errno.EPERM), errno.EPERM) == "mount: EPERM"


def test_one_of_several_answers_is_enough_and_the_evidence_says_which() -> None:
    assert refused("unshare", raising(errno.EUSERS), errno.ENOSPC, errno.EUSERS) == "unshare: EUSERS"


def test_a_call_that_succeeds_is_a_breach() -> None:
    with pytest.raises(Breach, match="mount succeeded"):
        refused("mount", lambda: None, errno.EPERM)


def test_a_call_that_is_refused_for_another_reason_is_a_breach() -> None:
    with pytest.raises(Breach, match=r"mount answered EINVAL where EPERM or EACCES was expected"):
        refused("mount", raising(errno.EINVAL), errno.EPERM, errno.EACCES)


def test_a_number_that_has_no_name_is_told_as_a_number() -> None:
    with pytest.raises(Breach, match="answered 5000 "):
        refused("odd", raising(5000), errno.EPERM)


def test_an_error_that_is_none_of_the_kernels_is_no_evidence() -> None:
    def attempt() -> None:
        raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="a mistake of ours"):
        refused("mount", attempt, errno.EPERM)


@pytest.mark.parametrize("layer", [layer for layer, _ in BEFORE])
def test_a_breach_names_its_layer(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def breached(_: Expected) -> str:
        raise Breach("a call succeeded")

    checks = [(name, breached if name == layer else lambda _: "seen") for name, _ in BEFORE]
    monkeypatch.setattr(selftest, "BEFORE", checks)
    with pytest.raises(Breach, match=f"^{layer}: a call succeeded$"):
        before_the_filter(EXPECTED)


@pytest.mark.parametrize(
    ("changed", "layer"),
    [({"network": "host"}, "network"), ({"has_landlock": False}, "landlock"),
     ({"has_memfd_knob": False}, "memfd-noexec"), ({"devices": 0}, "own-devices")],
)  # fmt: skip
def test_what_the_host_cannot_give_is_absent_with_its_reason_and_never_left_out(
    changed: dict[str, Any], layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "BEFORE", [(name, lambda _: "seen") for name, _ in BEFORE])
    proof = before_the_filter(EXPECTED._replace(**changed))
    assert [words[0] for words in proof] == [name for name, _ in BEFORE]
    assert [words[:2] for words in proof if words[1] != "enforced"] == [(layer, "absent")]
    assert all(evidence for _, _, evidence in proof)


def test_in_no_cell_at_all_the_first_layers_are_a_breach() -> None:
    """The control: no layer confines this test's own process."""
    for layer in ("user-namespace", "mount-namespace", "read-only-root", "pid-namespace"):
        check = dict(BEFORE)[layer]
        with pytest.raises(Breach):
            check(EXPECTED._replace(outsider=os.getpid()))


def test_what_a_cell_did_not_get_with_its_function_is_a_breach() -> None:
    with pytest.raises(Breach, match="code: a new file in /function"):  # there is no read-only /function here
        of_the_function((), 1 << 20)
