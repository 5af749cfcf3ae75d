"""``huge_pages``: what a function allocates at once, seen from outside its cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import descendants_of, pid_namespace
from tests.support.server import Server

SOURCE = """
import os
kept = bytearray(b"x") * (64 << 20)

def handle(req):
    assert kept[-1] == ord("x") and "GLIBC_TUNABLES" not in os.environ
    return {"body": os.readlink("/proc/self/ns/pid")}
"""
HOST = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def huge_kib(server: Server, namespace: str) -> int:
    """What the processes of a cell have in huge pages."""
    found = 0
    for pid in descendants_of(server.pid):
        if pid_namespace(pid) == namespace:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found += int(re.findall(r"^AnonHugePages:\s+(\d+) kB$", rollup, flags=re.MULTILINE)[0])
    return found


@pytest.mark.needs_root  # looks into processes that are not dumpable
@pytest.mark.promise("S84")
@pytest.mark.parametrize("are_wanted", [True, False])
def test_what_is_allocated_at_once_has_huge_pages_unless_the_operator_wants_none(
    are_wanted: bool, make_server: Callable[..., Server]
) -> None:
    server = make_server(blank_cells=1, huge_pages=are_wanted)
    server.deploy("allocates", SOURCE, memory=128)
    answer = server.call("allocates")
    assert answer.status_code == 200, answer.text
    host = HOST.read_text() if HOST.exists() else "[never]"
    if "[always]" in host:  # it gives them to everybody
        return
    has_them = huge_kib(server, answer.text) > 32 << 10
    assert has_them == (are_wanted and "[madvise]" in host)


@pytest.mark.needs_root
def test_a_small_function_has_none(make_server: Callable[..., Server]) -> None:
    server = make_server(blank_cells=1)
    server.deploy("small", SOURCE.replace('bytearray(b"x") * (64 << 20)', 'b"x"'))
    namespace = server.call("small").text
    assert namespace.startswith("pid:")
    if not HOST.exists() or "[always]" not in HOST.read_text():
        assert huge_kib(server, namespace) == 0
