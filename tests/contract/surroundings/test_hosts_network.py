"""With ``network = host`` names are what they are on the host, as they are when a cell is made."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeServer
from tests.contract.surroundings.conftest import body
from tests.support.server import Server

RESOLVES = """
import os, socket
def handle(req):
    if req.path == "/look":
        return {"body": {"value": eval(req.body)}}
    try:
        return {"body": {"found": socket.gethostbyname(req.body.decode())}}
    except OSError as error:
        return {"body": {"error": str(error)}}
"""
# Addresses of loopback where nobody may serve names yet; the real name server is asked nothing.
MAYBE_FREE = (f"127.{number}.53.53" for number in range(1, 255))
NAMES_PORT = 53
IN_A_NAMESPACE_OF_ITS_OWN = (
    "unshare", "--mount", "sh", "-ec",
    'mount --bind "$1" /etc/resolv.conf; mount --bind "$2" /etc/hosts; shift 2; exec "$@"', "sh",
)  # fmt: skip


class NameServer:
    """Answers every question about an IPv4 address with one address; ``asked`` has the names."""

    def __init__(self, answer: str) -> None:
        self.asked: list[bytes] = []
        self._answer = socket.inet_aton(answer)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # The port is what every resolver asks at; which address is free only binding tells.
        self.host = next(host for host in MAYBE_FREE if self._binds(host))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _binds(self, host: str) -> bool:
        try:
            self._socket.bind((host, NAMES_PORT))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(4096)
            if not data:
                return
            name = data[12 : data.index(b"\0", 12)]
            self.asked.append(name)
            question = data[12 : 12 + len(name) + 5]
            is_ipv4 = question[-4:-2] == b"\0\1"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + self._answer
            head = data[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_ipv4 else b"\0\0") + bytes(4)
            self._socket.sendto(head + question + (record if is_ipv4 else b""), peer)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def name_servers() -> Iterator[tuple[NameServer, NameServer]]:
    one, other = NameServer("198.51.100.1"), NameServer("198.51.100.2")
    yield one, other
    one.close()
    other.close()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, name_servers: tuple[NameServer, NameServer]) -> Path:
    """A folder with the files that the server takes for the host's."""
    folder = tmp_path_factory.mktemp("host")
    asks = f"# a comment\nnameserver {name_servers[0].host}\noptions timeout:5 attempts:3\n"
    (folder / "resolv.conf").write_text(asks)
    (folder / "hosts").write_text("127.0.0.1 localhost\n203.0.113.9 in-hosts.example\n")
    return folder


@pytest.fixture(scope="module")
def server(module_server: MakeServer, host: Path) -> Server:
    """One whose host has these files, and where functions may have its network."""
    if not os.access("/etc/resolv.conf", os.F_OK) or shutil.which("unshare") is None:
        pytest.skip("there is no /etc/resolv.conf or unshare here")
    wrap = [*IN_A_NAMESPACE_OF_ITS_OWN, str(host / "resolv.conf"), str(host / "hosts")]
    return module_server(workers=1, wrap=wrap, ceilings='{"network": "host"}')


@pytest.mark.needs_root
@pytest.mark.promise("S139")
def test_with_the_hosts_network_names_resolve_as_on_the_host_and_follow_its_changes(
    server: Server, host: Path, name_servers: tuple[NameServer, NameServer]
) -> None:
    server.deploy("resolves", RESOLVES, network="host", max_instances=1)
    assert body(server.call("resolves", content="somewhere.example")) == {"found": "198.51.100.1"}
    assert name_servers[0].asked and not name_servers[1].asked
    assert body(server.call("resolves", content="in-hosts.example")) == {"found": "203.0.113.9"}
    assert body(server.call("resolves", content="cell")) == {"found": "127.0.0.1"}
    # In place: a bind mount is of an inode.
    with (host / "resolv.conf").open("w") as file:
        file.write(f"nameserver {name_servers[1].host}\noptions timeout:5 attempts:3\n")
    with (host / "hosts").open("a") as file:
        file.write("203.0.113.10 new.example\n")
    server.deploy("resolves", RESOLVES + "# another version\n", network="host", max_instances=1)
    assert body(server.call("resolves", content="somewhere.example")) == {"found": "198.51.100.2"}
    assert body(server.call("resolves", content="new.example")) == {"found": "203.0.113.10"}
    # The control: without it nobody is asked.
    asked = len(name_servers[1].asked)
    server.deploy("resolves", RESOLVES, network="none")
    assert "cannot be looked up" in body(server.call("resolves", content="somewhere.example"))["error"]
    assert "cannot be looked up" in body(server.call("resolves", content="in-hosts.example"))["error"]
    assert len(name_servers[1].asked) == asked


@pytest.mark.needs_root
@pytest.mark.promise("T87")
def test_what_a_cell_knows_of_names_is_its_own_copy_and_read_only(server: Server, host: Path) -> None:
    server.deploy("own-copy", RESOLVES, network="host", max_instances=1)

    def value(expression: str) -> object:
        return body(server.call("own-copy", "/look", content=expression))["value"]

    for name in ("hosts", "resolv.conf"):
        found = value(f"os.stat('/etc/{name}')[1:3]")
        assert found != [(host / name).stat().st_ino, (host / name).stat().st_dev]
        assert value(f"os.access('/etc/{name}', os.W_OK)") is False
    mounts = value("[line for line in open('/proc/self/mountinfo') if ' /etc/names ' in line]")
    assert isinstance(mounts, list) and len(mounts) == 1
    assert mounts[0].split()[3] == "/" and "ro,nosuid,nodev,noexec" in mounts[0]
    assert str(host) not in mounts[0]
    assert value("open('/etc/nsswitch.conf').read().splitlines()[:2]") == ["passwd: files", "group: files"]
    assert value("__import__('pwd').getpwuid(os.getuid()).pw_name") == "cell"
    assert value("socket.getaddrinfo.__module__") == "socket"
    assert value("socket.getaddrinfo.__code__.co_filename.endswith('/socket.py')") is True
