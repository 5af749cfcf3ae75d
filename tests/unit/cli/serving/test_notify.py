"""What systemd is told of a server (``sd_notify``)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from supervisor.cli.serving.notify import VARIABLE, Notifier


@pytest.mark.promise("S179")
@pytest.mark.parametrize("is_abstract", [False, True])
def test_states_arrive_in_one_datagram_and_no_child_inherits_the_socket(
    is_abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"@cellblock-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if is_abstract else name)
        monkeypatch.setenv(VARIABLE, name)

        Notifier().tell("READY=1", "STATUS=here")

        assert manager.recv(100) == b"READY=1\nSTATUS=here"
        assert VARIABLE not in os.environ


def test_a_manager_that_is_gone_costs_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    Notifier().tell("READY=1")
    assert "systemd was not told READY=1" in caplog.text


def test_without_a_manager_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    Notifier().tell("READY=1")
    assert caplog.text == ""
