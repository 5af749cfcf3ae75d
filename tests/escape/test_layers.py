"""Attempts of a hostile function at what the layers of today stop, each with its control.

A *control* is the same attempt where the layer is not: outside any cell, or in one without the limit.  It
must succeed there; an attempt that fails for another reason proves nothing.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import SPACE, Server

# Runs what it is sent; ``found`` is the answer.
PROBE = """
def handle(req):
    names = {}
    exec(req.body, names)
    return {"body": {"found": names["found"]}}
"""
CLONE_NEW = {"user": 0x10000000, "mnt": 0x00020000, "pid": 0x20000000, "net": 0x40000000, "uts": 0x04000000}
DEADLINE_SECONDS = 30

Probe = Callable[..., Any]

# The controls are what a process of root's can do.
pytestmark = pytest.mark.needs_root


def outside(code: str) -> Any:
    """What the same code finds as a process of this machine that is in no cell."""
    program = f"import json\n{textwrap.dedent(code)}\nprint(json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def probe(server: Server) -> Iterator[Probe]:
    """``probe(code)`` gives what ``code`` leaves in ``found``, run by a function in its cell."""
    names = {"layers-probe": {}, "layers-bounded": {"tmp": 1, "open_files": 16, "processes": 8}}
    for name, options in names.items():
        server.deploy(name, PROBE, **options)

    def run(code: str, name: str = "layers-probe") -> Any:
        answer = server.call(name, content=textwrap.dedent(code).encode())
        assert answer.status_code == 200, answer.text
        return answer.json()["found"]

    yield run
    for name in names:
        assert server.client.delete(f"/spaces/{SPACE}/functions/{name}").status_code == 204


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that every process of the host can read and write, in a folder that all can reach."""
    folder = Path("/var/tmp") / f"cellblock-canary-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o777)
    path = folder / "canary"
    path.write_text("sings")
    path.chmod(0o666)
    yield path
    path.unlink()
    folder.rmdir()


def attempt(statement: str) -> str:
    """Code whose ``found`` is "done", or the name of what was raised."""
    return f"""
import os, socket, threading
try:
    {statement}
    found = "done"
except Exception as error:
    found = type(error).__name__
"""


@pytest.mark.promise("T1")
def test_a_file_of_the_host_is_neither_seen_nor_written(probe: Probe, canary: Path) -> None:
    read, write = f"open({str(canary)!r}).read()", f"open({str(canary)!r}, 'w')"
    assert outside(attempt(read)) == "done"

    assert probe(attempt(read)) == "FileNotFoundError"
    assert probe(attempt(write)) == "FileNotFoundError"
    assert canary.read_text() == "sings"


@pytest.mark.promise("T3")
def test_a_kernel_setting_cannot_be_reached(probe: Probe) -> None:
    look = "open('/proc/sys/kernel/core_pattern', 'r+').close()"
    assert outside(attempt(look)) == "done"  # opened, not written

    assert probe(attempt(look)) == "FileNotFoundError"
    assert probe(attempt("os.listdir('/sys')")) == "FileNotFoundError"


@pytest.mark.promise("T5")
@pytest.mark.parametrize("kind", sorted(CLONE_NEW))
def test_no_namespace_can_be_made_inside_a_cell(probe: Probe, kind: str) -> None:
    code = f"""
    import ctypes, errno
    libc = ctypes.CDLL(None, use_errno=True)
    found = "done" if libc.unshare({CLONE_NEW[kind]}) == 0 else errno.errorcode[ctypes.get_errno()]
    """
    assert outside(code) == "done"

    assert probe(code) in ("ENOSPC", "EPERM")


@pytest.mark.promise("T8")
def test_the_hosts_loopback_and_the_network_are_out_of_reach(probe: Probe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        connect = f"socket.create_connection(('127.0.0.1', {port}), 3).close()"
        accepted = threading.Thread(target=lambda: listener.accept()[0].close())
        accepted.start()
        assert outside(attempt(connect)) == "done"
        accepted.join(DEADLINE_SECONDS)

        assert probe(attempt(connect)) == "PermissionError"

    far = "socket.create_connection(('192.0.2.1', 80), 3).close()"
    assert probe(attempt(far)) == "PermissionError"  # and not a timeout


@pytest.mark.promise("T9")
def test_a_listener_in_the_abstract_namespace_is_out_of_reach(probe: Probe) -> None:
    name = f"\0cellblock-canary-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        connect = f"socket.socket(socket.AF_UNIX).connect({name!r})"
        assert outside(attempt(connect)) == "done"

        assert probe(attempt(connect)) in ("ConnectionRefusedError", "PermissionError")


@pytest.mark.promise("T6")
def test_no_process_but_its_own_can_be_seen_or_signalled(server: Server, probe: Probe) -> None:
    numbers = "import os\nfound = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())"
    assert server.pid in outside(numbers)
    kill = f"os.kill({server.pid}, 0)"
    assert outside(attempt(kill)) == "done"

    assert len(probe(numbers)) <= 2  # itself; pid 1 has another id and is hidden or shown, nobody else
    assert probe(attempt(kill)) == "ProcessLookupError"
    assert probe(attempt("os.kill(1, 9)")) == "PermissionError"


@pytest.mark.promise("T31")
@pytest.mark.parametrize(
    ("too_much", "what"),
    [
        ("open('/tmp/cellblock-canary', 'wb').write(bytes(2 << 20))", "OSError"),
        ("kept = [open('/dev/null') for _ in range(20)]", "OSError"),
        (
            "[threading.Thread(target=threading.Event().wait, daemon=True).start() for _ in range(9)]",
            "RuntimeError",
        ),
    ],
    ids=["tmp", "descriptors", "processes"],
)
def test_a_function_cannot_take_more_than_its_limit(probe: Probe, too_much: str, what: str) -> None:
    """With open_files at its lower bound no cell was tied: closing needed numbers above the limit."""
    assert probe(attempt(too_much)) == "done"  # the control: a cell with the limits of everybody

    assert probe(attempt(too_much), "layers-bounded") == what
