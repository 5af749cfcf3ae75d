"""Ten thousand idle connections: calls go on beside them, they are usable, and they leave nothing.

Hundreds are ``tests/contract/limits/test_connections.py``.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from tests.fault.conftest import HELLO, MakeSmall, recovers
from tests.support.bystander import bystander_on
from tests.support.holdings import excess, settled
from tests.support.server import SPACE

CONNECTIONS = 10_000
# What the client, and each front at worst, need besides.
DESCRIPTORS_BESIDES = 500
# Each line from its input is a step; each step is answered by a line.
CLIENT = f"""
import resource, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
ASK = b"GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
kept, answered = [], 0
for number in range({CONNECTIONS}):
    kept.append(socket.create_connection((host, port), 60))
    if number % 10 == 9:  # some are used; and no more wait to be taken than the listener's queue holds
        kept[-1].sendall(ASK)
        answered += kept[-1].recv(4096).startswith(b"HTTP/1.1 200")
print("open", len(kept), answered, flush=True)
sys.stdin.readline()
for one in kept[::100]:
    one.sendall(ASK)
print("used", sum(one.recv(4096).startswith(b"HTTP/1.1 200") for one in kept[::100]), flush=True)
sys.stdin.readline()
"""


@pytest.mark.proof
@pytest.mark.needs_root
@pytest.mark.timeout(300)
def test_ten_thousand_idle_connections_are_kept_and_nobody_notices(small_server: MakeSmall) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS + DESCRIPTORS_BESIDES:
        pytest.skip(f"the limit of open files is {hard}: it has to be {CONNECTIONS + DESCRIPTORS_BESIDES}")
    with small_server() as server:
        server.deploy("hello", HELLO, max_instances=1)
        recovers(server)
        address = urlsplit(server.url)
        command = [sys.executable, "-c", CLIENT, str(address.hostname), str(address.port)]
        before = settled(server)
        with bystander_on(server) as bystander:
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as client:
                assert client.stdin is not None and client.stdout is not None
                assert client.stdout.readline().split() == ["open", str(CONNECTIONS), str(CONNECTIONS // 10)]
                held = settled(server)["front descriptors"] - before["front descriptors"]
                assert held >= CONNECTIONS
                bystander.answered_again(20)
                client.stdin.write("\n")
                client.stdin.flush()
                assert client.stdout.readline().split() == ["used", str(CONNECTIONS // 100)]
                bystander.answered_again()
        assert server.client.delete(f"/spaces/{SPACE}/functions/the-bystander").status_code == 204
        recovers(server)
        assert excess(server, before) == {}
