"""Probes: each gives a finding in time, whatever it does, and changes nothing of the caller."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.warden.jail import probes
from supervisor.warden.jail.probes import EVIDENCE_MAX_BYTES, PROBES, Finding, probe, probe_host

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "pid_for_children")
MOST_SECONDS = 5.0


def state_of_the_caller() -> dict[str, Any]:
    """What a probe could have changed if it did not run in a child."""
    return {
        "namespaces": {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in NAMESPACES},
        "ids": (os.getresuid(), os.getresgid(), os.getgroups()),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
        "working folder": os.getcwd(),
        "seccomp": [line for line in Path("/proc/self/status").read_text().splitlines()
                    if line.startswith(("Seccomp", "NoNewPrivs", "Cap"))],
        "tmp/tree": os.path.exists("/tmp/tree"),
    }  # fmt: skip


def test_a_probe_that_works_says_what_it_saw() -> None:
    assert probe("one", lambda: "seen") == Finding("one", True, "seen")


def test_a_probe_that_says_nothing_worked_all_the_same() -> None:
    assert probe("quiet", lambda: "") == Finding("quiet", True, "")


def test_a_probe_that_is_refused_gives_the_errno() -> None:
    def refused() -> str:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    found = probe("refused", refused)
    assert not found.works
    assert found.evidence == "EPERM: Operation not permitted"


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt(), SystemExit(0)])
def test_a_probe_that_raises_anything_did_not_work(error: BaseException) -> None:
    def raises() -> str:
        raise error

    found = probe("raises", raises)
    assert not found.works
    assert type(error).__name__ in found.evidence


def test_a_probe_that_dies_did_not_work() -> None:
    def dies() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    assert probe("dies", dies) == Finding("dies", False, "the probe died or did not end")


def test_a_probe_that_leaves_without_a_word_did_not_work() -> None:
    assert not probe("leaves", lambda: os._exit(0)).works


def test_a_probe_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PROBE_SECONDS", 0.2)
    before = state_of_the_caller()
    began = time.monotonic()
    found = probe("hangs", lambda: signal.pause() or "never")
    assert not found.works
    assert 0.2 <= time.monotonic() - began < MOST_SECONDS
    assert state_of_the_caller() == before, "no child and no descriptor is left"


def test_evidence_has_a_most() -> None:
    assert len(probe("talks", lambda: "x" * 100_000).evidence) < EVIDENCE_MAX_BYTES


@pytest.mark.parametrize("name", PROBES)
def test_no_probe_changes_anything_of_its_caller(name: str) -> None:
    before = state_of_the_caller()
    assert probe(name, PROBES[name]).evidence
    assert state_of_the_caller() == before


def test_the_host_is_probed_as_a_whole_and_nothing_has_changed() -> None:
    before = state_of_the_caller()
    found = probe_host()
    assert state_of_the_caller() == before
    assert all(found[name].name == name for name in found)
    assert found["root"].works == (os.geteuid() == 0)
    if found["landlock"].works:
        abi = int(found["landlock"].evidence.split()[-1])
        assert found["landlock-3"].works == (abi >= 3)
        assert found["landlock-6"].works == (abi >= 6)
    else:
        assert not found["landlock-3"].works
        assert not found["landlock-6"].works


@pytest.mark.parametrize("is_killed", [False, True], ids=["", "killed"])
def test_a_host_that_is_probed_ahead_is_the_same_host(is_killed: bool) -> None:
    expected = probe_host()
    before = state_of_the_caller()
    probes.begin()
    if is_killed:
        os.kill(probes._begun[0].pid, signal.SIGKILL)
    assert probe_host() == expected
    assert probes._begun == []
    assert state_of_the_caller() == before
