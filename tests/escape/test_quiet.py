"""What a server and its cells leave in the kernel's log: nothing that an operator would be woken by."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

from tests.support.processes import descendants_of
from tests.support.server import Server

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.needs_root]
RECORD_BYTES = 8192  # one read of /dev/kmsg gives one record, however long


def kernel_log(descriptor: int) -> list[str]:
    """What has been added since it was opened at its end."""
    found = []
    while True:
        try:
            found.append(os.read(descriptor, RECORD_BYTES).decode(errors="replace"))
        except BlockingIOError:
            return found
        except BrokenPipeError:  # a record was overwritten before it was read
            continue


def test_no_self_test_of_a_cell_makes_the_kernel_warn(make_server: Callable[..., Server]) -> None:
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.lseek(descriptor, 0, os.SEEK_END)
        server = make_server(blank_cells=3)
        server.deploy("quiet", "def handle(req): pass")
        assert server.call("quiet").status_code == 200
        ours = {server.pid, *descendants_of(server.pid)}
        named = re.compile(r"\[(\d+)\]: |pid[ :=]+(\d+)", re.IGNORECASE)
        about_us = [
            line
            for line in kernel_log(descriptor)
            for match in named.findall(line)
            if {int(number) for number in match if number} & ours
        ]
        assert about_us == []
    finally:
        os.close(descriptor)
