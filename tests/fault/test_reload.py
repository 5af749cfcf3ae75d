"""SIGHUP under load: settings change, zygotes are replaced, and no call is lost."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fault.conftest import HELLO, MakeSmall, client_of
from tests.support.eventually import eventually
from tests.support.processes import all_gone_within, children_of, fronts_of, pid_namespace, watch, zygotes_of
from tests.support.server import SPACE, Server

# More than a MiB: what a ceiling of ``max_response`` cuts needs no clock.
LARGE = "def handle(req):\n    return {'body': 'x' * (2 << 20)}\n"
# It says that it imports requests, and does not: whether somebody else did.
PRELOADED = (
    "import sys\ndef handle(req):\n    return {'body': str('requests' in sys.modules)}\n"
    "def never():\n    import requests\n"
)
CALLERS = 4
# What is imported when its module is, and a header of the call.
LOOKS = (
    "import sys\nHEAVY = ['asyncio', 'logging', 'ssl', 'threading', 'werkzeug']\n"
    "FOUND = [name for name in HEAVY if name in sys.modules]\n"
)
STEPS = {
    "nothing": LOOKS + "def handle(req):\n    return {'body': {'has': FOUND}}\n",
    "a module": LOOKS
    + "def handle(req):\n    return {'body': {'has': FOUND}}\ndef never():\n    import logging\n",
    "a coroutine": LOOKS + "async def handle(req):\n    return {'body': {'has': FOUND}}\n",
    "headers": LOOKS
    + "def handle(req):\n    return {'body': {'has': FOUND, 'read': req.headers.get('x-asked')}}\n",
    "hidden": LOOKS
    + "def handle(req):\n    headers = getattr(req, 'head' + 'ers')\n"
    + "    return {'body': {'has': FOUND, 'read': headers['x-asked']}}\n",
}


@pytest.fixture(scope="module")
def tuned(small_server: MakeSmall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with a settings file, of its own."""
    path = tmp_path_factory.mktemp("settings") / "cellblock.toml"
    path.write_text("preload = []\nblank_cells = 1")
    with small_server(environment={"CELLBLOCK_CONFIG": str(path)}, preload=None, blank_cells=None) as server:
        server.deploy("hello", HELLO)
        server.deploy("large", LARGE)
        yield server, path


def reload(server: Server, path: Path, text: str) -> str:
    """Write the file, send SIGHUP; what the server logged until it said what came of it."""
    already = server.log_bytes
    for name, usual in (("preload", "[]"), ("blank_cells", "1")):
        text = text if name in text else f"{name} = {usual}\n{text}"
    path.write_text(text)
    os.kill(server.pid, signal.SIGHUP)
    server.said("read again", "SIGHUP changed nothing", since=already)
    return server.log_since(already)


def blank(server: Server, *besides: str) -> int:
    """How many cells are blank, or in one of these states besides."""
    cells = server.client.get("/activity").json()["cells"]
    return sum(cells.get(state, 0) for state in ("blank", *besides))


def without_spare_cells(server: Server, path: Path) -> None:
    """No cell is blank, nor one to be or one that was."""
    reload(server, path, "blank_cells = 0")
    eventually(lambda: blank(server, "growing", "dying") == 0)


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
        said = reload(server, path, "log_level = 'debug'\n[ceilings]\nmax_response = 1\n")
        assert "changed: ceilings, log_level" in said
        # The ceiling cuts what is deployed already, and holds for the next deploy, on every front.
        for _ in range(6):
            with client_of(server) as client:
                answer = client.post(f"/spaces/{SPACE}/functions/large/invoke")
                assert answer.status_code == 502, answer.text
                body = {"options": {"max_response": 2}}
                assert client.put(f"/spaces/{SPACE}/functions/hello", json=body).status_code == 422
        assert "changed: ceilings, log_level" in reload(server, path, "")
        assert server.call("large").status_code == 200
    assert wrong == []
    assert sorted(fronts_of(server.pid)) == fronts


def test_a_bad_file_changes_nothing_and_the_log_says_why(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    for text, why in (
        ("queue_depth = 0", "queue_depth"),
        ("queue_depth = 1\nno_such_setting = 1", "no_such_setting"),
        ("queue_depth = ", "cannot read the settings file"),
        ("[ceilings]\nmax_response = 1\nno_such_option = 2", "no_such_option"),
    ):
        said = reload(server, path, text)
        assert "SIGHUP changed nothing" in said and why in said, said
        assert server.call("large").status_code == 200
    said = reload(server, path, "body_seconds = 7\ngrace_seconds = 0.7")
    assert "setting body_seconds stays as it is until the server is restarted" in said
    assert "changed: grace_seconds" in said
    reload(server, path, "")


def test_a_front_that_starts_after_a_reload_has_the_new_settings(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    reload(server, path, "[ceilings]\nmax_response = 1\n")
    before = set(fronts_of(server.pid))
    for front in before:
        os.kill(front, signal.SIGKILL)
    eventually(lambda: len(set(fronts_of(server.pid)) - before) == len(before))

    def is_cut() -> bool:
        with contextlib.suppress(httpx.HTTPError), client_of(server) as client:
            return client.post(f"/spaces/{SPACE}/functions/large/invoke").status_code == 502
        return False

    eventually(is_cut)
    assert all(is_cut() for _ in range(4))
    reload(server, path, "")


@pytest.mark.needs_root  # looks into processes of the server that are not dumpable
@pytest.mark.promise("S62")
def test_zygotes_are_replaced_under_load_and_no_call_is_lost(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    with load(server) as wrong:
        reload(server, path, 'preload = ["requests", "numpy"]')
        eventually(lambda: len(zygotes_of(server.pid)) == 3)
        for replace, replaced in (
            (
                lambda: reload(server, path, 'preload = ["requests"]'),
                1,
            ),  # those without libraries stay as they are
            (lambda: server.client.post("/zygotes/renew").raise_for_status(), 3),
            (lambda: [os.kill(pid, signal.SIGKILL) for pid in zygotes_of(server.pid)], 3),
        ):
            before = zygotes_of(server.pid)
            replace()
            server.deploy("hello", HELLO + f"# {before}\n")  # cells are wanted meanwhile
            eventually(functools.partial(is_replaced, server, before, replaced))
        server.deploy("preloaded", PRELOADED)
        assert server.call("preloaded").text == "True"
    assert wrong == []
    reload(server, path, "")


def is_replaced(server: Server, before: list[int], replaced: int) -> bool:
    """Whether others have taken over from so many of the three zygotes, and those have ended."""
    now = zygotes_of(server.pid)
    return len(now) == 3 and len(set(before) - set(now)) == replaced


@pytest.mark.promise("S83")
def test_a_function_has_the_libraries_zygote_only_if_it_imports_one_of_them(
    tuned: tuple[Server, Path],
) -> None:
    server, path = tuned
    reload(server, path, 'preload = ["requests"]')
    server.deploy("preloaded", PRELOADED)
    assert server.call("preloaded").text == "True"
    server.deploy("preloaded", PRELOADED.partition("def never")[0])
    assert server.call("preloaded").text == "False"
    # And what it never said it imports is there all the same.
    server.deploy(
        "preloaded", "def handle(req):\n    return {'body': __import__('reque' + 'sts').__name__}\n"
    )
    assert server.call("preloaded").text == "requests"
    reload(server, path, "")


@pytest.mark.promise("S85")
def test_a_function_has_no_more_of_the_standard_library_imported_than_its_source_asks_for(
    tuned: tuple[Server, Path],
) -> None:
    server, _ = tuned
    found = {}
    for name, source in STEPS.items():
        server.deploy("steps", source)
        found[name] = server.call("steps", headers={"X-Asked": "it"}).json()
    heavy = ["asyncio", "logging", "ssl", "threading", "werkzeug"]
    assert found == {
        "nothing": {"has": []},
        "a module": {"has": heavy},
        "a coroutine": {"has": heavy},
        "headers": {"has": heavy, "read": "it"},
        # It did not say so, and has what it asks for all the same.
        "hidden": {"has": [], "read": "it"},
    }


@pytest.mark.needs_root  # looks into processes of the server that are not dumpable
def test_without_libraries_to_import_ahead_their_zygote_ends(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    reload(server, path, 'preload = ["requests"]')
    eventually(lambda: len(zygotes_of(server.pid)) == 3)
    reload(server, path, "preload = []")
    eventually(lambda: len(zygotes_of(server.pid)) == 2)
    server.deploy("preloaded", PRELOADED)
    assert server.call("preloaded").text == "False"
    reload(server, path, 'preload = ["requests"]')
    server.deploy("preloaded", PRELOADED + "# again\n")
    assert server.call("preloaded").text == "True"
    reload(server, path, "")


@pytest.mark.needs_root  # looks into processes of the server that are not dumpable
def test_a_call_that_waits_for_the_libraries_zygote_is_answered_when_nothing_is_imported_ahead_any_more(
    tuned: tuple[Server, Path],
) -> None:
    server, path = tuned
    # One that was growing when an earlier test ended would be the call's, which would not wait.
    without_spare_cells(server, path)
    eventually(lambda: len(zygotes_of(server.pid)) == 2)
    lean = zygotes_of(server.pid)
    reload(server, path, 'blank_cells = 0\npreload = ["requests"]')
    server.deploy("preloaded", PRELOADED + "# waits\n")  # whose check brings the other zygote
    eventually(lambda: len(zygotes_of(server.pid)) == 3)
    (other,) = set(zygotes_of(server.pid)) - set(lean)
    os.kill(other, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        call = pool.submit(server.call, "preloaded")

        def waits() -> bool:
            functions = server.client.get("/activity").json()["functions"]
            return any(one["name"] == "preloaded" and one["waiting"] for one in functions)

        eventually(waits)
        reload(server, path, "blank_cells = 0")
        answer = call.result(30)
    assert answer.status_code == 200, answer.text
    eventually(lambda: other not in zygotes_of(server.pid))
    reload(server, path, "")


@pytest.mark.needs_root  # looks into processes of the server that are not dumpable
def test_blank_cells_of_a_zygote_that_was_replaced_make_way_for_new_ones(tuned: tuple[Server, Path]) -> None:
    server, path = tuned
    without_spare_cells(server, path)
    of_functions = set(cells_of(server))
    reload(server, path, 'blank_cells = 3\npreload = ["requests"]')
    eventually(lambda: blank(server) == 3 * 3)  # of each of the three zygotes
    before = watch(sorted(set(cells_of(server)) - of_functions))
    assert len(before) >= 3 * 3
    server.client.post("/zygotes/renew").raise_for_status()
    assert all_gone_within(before, 10.0)
    eventually(lambda: blank(server) == 3 * 3)
    reload(server, path, "blank_cells = 1")
    eventually(lambda: blank(server) == 2)
    reload(server, path, "")


def cells_of(server: Server) -> list[int]:
    """Pid 1 of each cell."""
    ours = pid_namespace(server.pid)
    return [pid for pid in children_of(server.pid) if pid_namespace(pid) not in ("", ours)]
