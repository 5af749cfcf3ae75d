"""A data directory without space: nothing new can be stored, calls do not notice, and room mends it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from supervisor.logs import Query, Record, read
from tests.fault.conftest import HELLO, MakeSmall, recovers
from tests.support.bystander import bystander_on
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.holdings import excess, settled
from tests.support.packing import CODE
from tests.support.server import SPACE, Server

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

DISK = "8m"
# In a mount namespace of its own: nobody else sees the small disk, and it ends with the server.
MOUNT = f'mount -t tmpfs -o size={DISK},mode=755 none "$0" && exec "$@"'
FUNCTIONS = f"/spaces/{SPACE}/functions"


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory, small_server: MakeSmall) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("cramped")
    (folder / "data").mkdir()
    wrap = ("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, str(folder / "data"))
    with small_server(folder, wrap=wrap) as running:
        running.deploy("hello", HELLO, max_instances=1)
        recovers(running)
        yield running


class Filler:
    """A file on the server's disk that takes what is left; ``leaving`` so many bytes."""

    def __init__(self, server: Server, leaving: int = 0) -> None:
        self.path = Path(f"/proc/{server.pid}/root{server.data_dir.resolve()}/filler")
        with self.path.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(1 << 16)):
                    continue
            except OSError:
                size = file.tell()
        os.truncate(self.path, max(0, size - leaving))

    def __enter__(self) -> Filler:
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)


def deploy(server: Server, name: str, code: bytes) -> httpx.Response:
    body = {"name": name, "source": {"code": base64.b64encode(code).decode()}}
    return server.client.post(FUNCTIONS, json=body)


def test_a_deploy_without_space_is_a_507_and_leaves_nothing_and_calls_do_not_notice(cramped: Server) -> None:
    before = settled(cramped)
    with bystander_on(cramped) as bystander:
        with Filler(cramped):
            error = assert_envelope(deploy(cramped, "full", CODE + b"# full\n"), 507, "disk is full")
            assert "operator" in error["message"]
            assert_envelope(cramped.client.get(f"{FUNCTIONS}/full"), 404)
            bystander.answered_again()
            # A new instance needs no space of the server's.
            assert cramped.call("hello").text == "hello"
        assert deploy(cramped, "full", CODE + b"# full\n").status_code == 201
        assert cramped.client.delete(f"{FUNCTIONS}/full").status_code == 204
    assert cramped.client.delete(f"{FUNCTIONS}/the-bystander").status_code == 204
    recovers(cramped)
    assert excess(cramped, before) == {}


def test_space_that_ends_in_the_middle_of_a_bundle_is_there_again_when_it_was_refused(
    cramped: Server,
) -> None:
    before = settled(cramped)
    half = b"# " + os.urandom(1 << 19).hex().encode() + b"\n" + CODE  # a mebibyte, of which half fits
    with Filler(cramped, leaving=1 << 19) as filler:
        free = os.statvfs(filler.path.parent).f_bavail
        for _ in range(5):
            assert_envelope(deploy(cramped, "half", half), 507, "disk is full")
        assert os.statvfs(filler.path.parent).f_bavail >= free - 16, "parts of the bundle are still there"
    assert_envelope(cramped.client.get(f"{FUNCTIONS}/half"), 404)
    recovers(cramped)
    assert excess(cramped, before) == {}


def test_a_value_that_cannot_be_stored_is_refused_and_the_one_before_it_stays(cramped: Server) -> None:
    path = f"/spaces/{SPACE}/variables/greeting"
    made = cramped.client.put(path, json={"value": "first"})
    assert made.status_code == 201, made.text
    source = "import function.variables as v\ndef handle(req):\n    return {'body': v.get('greeting')}\n"
    cramped.deploy("reads", source)
    assert cramped.call("reads").text == "first"
    with Filler(cramped):
        answers = [cramped.client.put(path, json={"value": "x" * 60_000}) for _ in range(3)]
        for answer in answers:
            assert_envelope(answer, answer.status_code)
            assert answer.status_code in (503, 507), answer.text
        assert cramped.call("reads").text == "first"
    stored = cramped.client.put(path, json={"value": "second"})
    assert stored.status_code == 204, stored.text
    assert cramped.call("reads").text == "second"
    assert cramped.client.delete(f"{FUNCTIONS}/reads").status_code == 204
    recovers(cramped)


CHATTY = """
def handle(req):
    for number in range(1000):
        print(req.body.decode(), number, 'x' * 900)
"""


@pytest.mark.promise("S48", "S69")
def test_a_log_that_cannot_be_written_stops_no_call_is_counted_and_goes_on_by_itself(cramped: Server) -> None:
    cramped.deploy("chatty", CHATTY, max_instances=1)
    root = Path(f"/proc/{cramped.pid}/root{cramped.data_dir.resolve()}/front/logs")

    def records(query: Query) -> list[Record]:
        return read(root, SPACE, "chatty", query).records

    with Filler(cramped):
        # More than a front keeps for one function while it waits for room.
        for _ in range(12):
            assert cramped.call("chatty", content="full").status_code == 200
        assert cramped.call("hello").text == "hello"
    eventually(lambda: bool(records(Query(q="records were dropped"))))
    assert cramped.call("chatty", content="room", headers={"X-Call-Id": "room"}).status_code == 200
    eventually(lambda: len(records(Query(call_id="room", stream="stdout"))) == 1000)

    def dropped() -> int:
        said = records(Query(q="records were dropped", limit=10_000))
        return sum(int(record.text.split(" ")[0]) for record in said)

    # Twelve reports are among what was lost or kept.
    eventually(lambda: len(records(Query(since=0, q="full ", limit=10_000))) + dropped() >= 12_000)
    assert dropped() > 0
    assert cramped.client.delete(f"{FUNCTIONS}/chatty").status_code == 204
    assert not (root / SPACE / "chatty").exists()
    recovers(cramped)
