"""64: with ``network = host``, the addresses where clouds give credentials, each with its control.

The programs are tried in a network namespace of the test's own, where the loopback has such an address and a
canary listens on it: there the control connects and no packet of a test leaves the host.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.warden.jail import metadata_routes
from supervisor.warden.jail.cgroup_hierarchies import own_places
from tests.support.server import Server

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.needs_root]

REFUSED = (
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "169.254.255.255", "168.63.129.16", "100.100.100.200",
    "::ffff:169.254.169.254", "::ffff:168.63.129.16", "64:ff9b::169.254.169.254", "64:ff9b::100.100.100.200",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe",
)  # fmt: skip
ALLOWED = (
    "127.0.0.1", "169.253.255.255", "169.255.0.1", "168.63.129.15", "168.63.129.17", "100.100.100.201",
    "10.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:169.255.0.1", "64:ff9b::1.1.1.1", "fd00:ec3::254",
    "fd20:ce::253", "fe80::1",
)  # fmt: skip

# In a network namespace of its own, below the group that is its argument or, with "", below none.
TRIES = """
import errno, json, os, socket, struct, sys, fcntl
import ctypes
group, addresses = sys.argv[1], json.loads(sys.argv[2])
ctypes.CDLL(None).unshare(0x40000000)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    own = ("169.254.169.254", "168.63.129.16", "100.100.100.200")
    for name, address in (("lo", None), *((f"lo:{number}", one) for number, one in enumerate(own, 1))):
        if address:
            where = struct.pack("16sH2s4s8x", name.encode(), socket.AF_INET, b"", socket.inet_aton(address))
            fcntl.ioctl(control, 0x8916, where)  # SIOCSIFADDR
        flags = fcntl.ioctl(control, 0x8913, struct.pack("16sh14x", name.encode(), 0))
        up = struct.unpack_from("16sh", flags)[1] | 1
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", name.encode(), up))
listener = socket.create_server(("0.0.0.0", 80))
if group:
    with open(group + "/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))

def tried(attempt):
    try:
        attempt()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]

found = {}
for address in addresses:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    stream, datagram, connected = (socket.socket(family, kind) for kind in (1, 2, 2))
    stream.settimeout(0.2)
    tried(lambda: connected.connect(("::1" if ":" in address else "127.0.0.1", 80)))
    found[address] = [
        tried(lambda: stream.connect((address, 80))),
        tried(lambda: datagram.connect((address, 80))),
        tried(lambda: socket.socket(family, 2).sendto(b"x", (address, 80))),
        tried(lambda: connected.connect((address, 80))),
        tried(lambda: connected.sendto(b"x", (address, 80))),
        tried(lambda: socket.socket(family, 2).connect((address, 53))),
    ]
listener.settimeout(0)
accepted = 0
while tried(listener.accept) == "ok":
    accepted += 1
print(json.dumps([found, accepted]))
"""


@pytest.fixture
def group() -> Path:
    """A group of the unified hierarchy, or a skip."""
    places = own_places(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    if "" not in places:
        pytest.skip("no cgroup v2 hierarchy is mounted")
    try:
        metadata_routes.probe()
    except OSError as error:
        pytest.skip(f"no BPF here: {error}")
    made = Path(places[""].path) / f"metadata-{os.getpid()}"
    made.mkdir()
    return made


def tries(group: str, addresses: tuple[str, ...]) -> tuple[dict[str, list[str]], int]:
    done = subprocess.run(
        [sys.executable, "-c", TRIES, group, json.dumps(addresses)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found, accepted = json.loads(done.stdout)
    return found, accepted


def test_064_every_form_of_a_metadata_address_is_refused_by_every_way_and_its_neighbours_are_not(
    group: Path,
) -> None:
    try:
        metadata_routes.guard(str(group))
        found, accepted = tries(str(group), REFUSED)
        assert set(found) == set(REFUSED)
        assert {way for ways in found.values() for way in ways[:5]} == {"EPERM"}
        assert accepted == 0
        assert "EPERM" not in {ways[5] for ways in found.values()}, "names are looked up as on the host"
        allowed, _ = tries(str(group), ALLOWED)
        assert not [address for address, ways in allowed.items() if "EPERM" in ways]
    finally:
        group.rmdir()


def test_064_control_without_the_program_the_canary_is_reached(group: Path) -> None:
    group.rmdir()
    found, accepted = tries("", REFUSED)
    assert not [address for address, ways in found.items() if "EPERM" in ways]
    assert accepted >= 3
    assert found["169.254.169.254"][:3] == ["ok", "ok", "ok"]


def test_a_server_that_starts_again_replaces_the_programs_of_the_one_that_was_killed(group: Path) -> None:
    try:
        for _ in range(100):  # the kernel takes 64 at one place
            metadata_routes.guard(str(group))
    finally:
        group.rmdir()


SOURCE = """
import errno, json, socket
def handle(req):
    found = {}
    for address in json.loads(req.body):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((address, 80))
                found[address] = "ok"
            except OSError as error:
                found[address] = errno.errorcode[error.errno]
    return {"body": found}
"""


@pytest.mark.promise("T70")
def test_064_a_function_in_the_hosts_network_is_refused_the_metadata_addresses(
    make_server: Callable[..., Server], group: Path
) -> None:
    group.rmdir()
    server = make_server(ceilings=json.dumps({"network": "host"}))
    server.deploy("hosts", SOURCE, network="host")
    answer = server.call("hosts", content=json.dumps(REFUSED).encode())
    assert answer.json() == dict.fromkeys(REFUSED, "EPERM"), server.log
    near = server.call("hosts", content=json.dumps(["127.0.0.1"]).encode())
    assert near.json() == {"127.0.0.1": "ok"}, "the control: the host's network is there"
    layers = {one["layer"]: one for one in server.client.get("/healthz?verbose").json()["layers"]}
    assert layers["metadata"]["status"] == "enforced"


@pytest.mark.parametrize("text", [*REFUSED, *ALLOWED])
def test_the_table_says_what_the_programs_do(text: str) -> None:
    address = ipaddress.ip_address(text)
    networks = metadata_routes.V4 if address.version == 4 else metadata_routes.refused_v6()
    assert any(address in network for network in networks) is (text in REFUSED)
