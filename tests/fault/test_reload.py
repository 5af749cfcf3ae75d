"""SIGHUP under load: settings change, zygotes are replaced, and no call is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fault.conftest import HELLO, MakeSmall, client_of
from tests.support.eventually import eventually
from tests.support.processes import descendants_of, fronts_of, zygotes_of
from tests.support.server import SPACE, Server

ASLEEP = "import time\ndef handle(req):\n    time.sleep(0.4)\n    return {'body': 'woken'}\n"
CALLERS = 4


@pytest.fixture(scope="module")
def tuned(
    small_server: MakeSmall, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    """A server with a settings file, which is empty."""
    path = tmp_path_factory.mktemp("settings") / "cellblock.toml"
    path.write_text("")
    # What a variable says wins over the file: only what no test changes is said by one.
    with small_server(environment={"CELLBLOCK_CONFIG": str(path)}) as server:
        server.deploy("hello", HELLO)
        server.deploy("asleep", ASLEEP)
        yield server, path


def reload(server: Server, path: Path, text: str) -> str:
    """Write the file, send SIGHUP; what the server logged until it said what came of it."""
    already = len(server.log)
    path.write_text(text)
    os.kill(server.pid, signal.SIGHUP)
    eventually(
        lambda: any(word in server.log[already:] for word in ("read again", "SIGHUP changed nothing"))
    )
    return server.log[already:]


@contextlib.contextmanager
def load(server: Server) -> Iterator[list[object]]:
    """Callers that call all the while; whatever was no right answer is in the list afterwards."""
    wrong: list[object] = []
    stop = threading.Event()
    answered = [0] * CALLERS

    def call(number: int) -> None:
        with client_of(server) as client:
            while not stop.is_set():
                try:
                    answer = client.post(f"/spaces/{SPACE}/functions/hello/invoke")
                except httpx.HTTPError as error:
                    wrong.append(error)
                    return
                if (answer.status_code, answer.text) != (200, "hello"):
                    wrong.append(answer.text)
                answered[number] += 1

    threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    eventually(lambda: all(answered))
    try:
        yield wrong
        before = list(answered)
        eventually(lambda: all(now > then for now, then in zip(answered, before, strict=True)))
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


@pytest.mark.promise("S61")
def test_limits_change_at_sighup_and_no_call_is_lost(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    fronts = sorted(fronts_of(server.pid))
    with load(server) as wrong:
        said = reload(server, path, "log_level = 'debug'\n[ceilings]\ntimeout = 0.2\n")
        assert "changed: ceilings, log_level" in said
        # The ceiling cuts what is deployed already, and holds for the next deploy, on every front.
        for _ in range(6):
            with client_of(server) as client:
                answer = client.post(f"/spaces/{SPACE}/functions/asleep/invoke")
                assert answer.status_code == 504, answer.text
                body = {"options": {"timeout": 1}}
                assert client.put(f"/spaces/{SPACE}/functions/hello", json=body).status_code == 422
        assert "changed: ceilings, log_level" in reload(server, path, "")
        answer = server.call("asleep")
        assert (answer.status_code, answer.text) == (200, "woken")
    assert wrong == []
    assert sorted(fronts_of(server.pid)) == fronts


def test_a_bad_file_changes_nothing_and_the_log_says_why(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    for text, why in (
        ("queue_depth = 0", "queue_depth"),
        ("queue_depth = 1\nno_such_setting = 1", "no_such_setting"),
        ("queue_depth = ", "cannot read the settings file"),
        ("[ceilings]\ntimeout = 0.1\nno_such_option = 2", "no_such_option"),
    ):
        said = reload(server, path, text)
        assert "SIGHUP changed nothing" in said and why in said, said
        assert server.call("asleep").text == "woken"
    said = reload(server, path, "body_seconds = 7\ngrace_seconds = 0.7")
    assert "setting body_seconds stays as it is until the server is restarted" in said
    assert "changed: grace_seconds" in said
    reload(server, path, "")


def test_a_front_that_starts_after_a_reload_has_the_new_settings(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    reload(server, path, "[ceilings]\ntimeout = 0.2\n")
    before = set(fronts_of(server.pid))
    for front in before:
        os.kill(front, signal.SIGKILL)
    eventually(lambda: len(set(fronts_of(server.pid)) - before) == len(before))

    def is_cut() -> bool:
        with contextlib.suppress(httpx.HTTPError), client_of(server) as client:
            return client.post(f"/spaces/{SPACE}/functions/asleep/invoke").status_code == 504
        return False

    eventually(is_cut)
    assert all(is_cut() for _ in range(4))
    reload(server, path, "")


@pytest.mark.promise("S62")
def test_a_zygote_is_replaced_under_load_and_no_call_is_lost(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    first = zygotes_of(server.pid)
    with load(server) as wrong:
        server.deploy("hello", HELLO + "# again\n")  # so that cells are made meanwhile
        assert "is being replaced" in reload(server, path, "")  # by a variable: preload stays, see below
    assert wrong == []
    assert first
