"""The examples of the original product's pages work as they are printed, on the runtimes they are for."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from supervisor.runtimes.interpreters import own_runtime_name
from tests.contract.pages import examples
from tests.support.eventually import eventually
from tests.support.http_recorder import HttpRecorder
from tests.support.runtimes import runtime_or_skip
from tests.support.server import SPACE, Server

RUNTIMES = sorted({"python3.9", "python3.10", own_runtime_name()})
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
STOP_SECONDS = 10
CALLS = 500

pytestmark = pytest.mark.needs_sandbox

on_the_pages_runtimes = pytest.mark.parametrize("runtime", RUNTIMES)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose functions may have the host's network; with one front a function has one instance."""
    ceilings = json.dumps({"network": "host"})
    running = Server(tmp_path_factory.mktemp("pages") / "data", workers=1, ceilings=ceilings)
    for name in ("my_password", "my_secret_name"):
        running.client.put(f"/spaces/{SPACE}/secrets/{name}", json={"value": "s3cret"}).raise_for_status()
    yield running
    assert running.stop() == 0, running.log


@dataclass(frozen=True)
class Broker:
    """A mosquitto of this test's own."""

    port: int
    log: Path

    @property
    def received(self) -> int:
        """Messages of the examples so far."""
        return self.log.read_text(errors="replace").count("Received PUBLISH")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    folder = tmp_path_factory.mktemp("mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "log"
    (folder / "conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest file {log}\nlog_type all\n"
    )
    process = subprocess.Popen([MOSQUITTO, "-c", str(folder / "conf")])
    try:
        eventually(lambda: accepts(port))
        yield Broker(port, log)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def deployed(server: Server, runtime: str, source: str, **options: object) -> str:
    """Its name; one function for each test."""
    runtime_or_skip(runtime)
    name = "page-example"
    server.client.delete(f"/spaces/{SPACE}/functions/{name}")
    server.deploy(name, source, template=runtime, **options)
    return name


@pytest.mark.promise("S156")
@on_the_pages_runtimes
@pytest.mark.parametrize(
    ("source", "sent", "status", "text"),
    [
        (examples.ECHO, "hello", 200, "hello"),
        (examples.ECHO_ASYNC, "hello", 200, "Asynchronous response: hello"),
        (examples.ECHO_HANDLE_ASYNC, "hello", 200, "Asynchronous response: hello"),
        (examples.ADDER, "1,2,3.5", 200, "6.5"),
        (examples.ADDER, "1,two", 400, "Invalid input format!"),
        (examples.SECRET, "", 200, "s3cret"),
    ],
    ids=["echo", "async", "handle_async", "adder", "adder-wrong", "secret"],
)
def test_an_example_answers_as_its_page_says(
    host: Server, runtime: str, source: str, sent: str, status: int, text: str
) -> None:
    answer = host.call(deployed(host, runtime, source), content=sent)
    assert (answer.status_code, answer.text) == (status, text)
    if text:
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@on_the_pages_runtimes
@pytest.mark.parametrize(
    ("source", "levels"),
    [
        (examples.STDERR, {"My log entry!": "info"}),
        (examples.LOGGING, {"ERROR": "error", "INFO": "info"}),
    ],
    ids=["stderr", "logging"],
)
def test_an_example_logs_as_its_page_says(
    host: Server, runtime: str, source: str, levels: dict[str, str]
) -> None:
    name = deployed(host, runtime, source)
    answer = host.call(name, headers={"X-Cellblock-Logs": "tail"})
    assert answer.status_code == 200
    lines = host.client.get(f"/spaces/{SPACE}/functions/{name}/logs?stream=stderr").text.splitlines()
    entries = [json.loads(line) for line in lines]
    assert {entry["text"]: entry["level"] for entry in entries if "text" in entry} == levels


@on_the_pages_runtimes
def test_the_example_that_publishes_and_waits_does_so(host: Server, broker: Broker, runtime: str) -> None:
    before = broker.received
    name = deployed(host, runtime, examples.MQTT_310 % broker.port, network="host")
    answer = host.call(name, content="hello")
    assert (answer.status_code, answer.text) == (200, "Message published!")
    eventually(lambda: broker.received == before + 1)


@pytest.mark.promise("S157")
def test_the_example_that_leaves_a_thread_in_each_call_fails_none(host: Server, broker: Broker) -> None:
    name = deployed(host, "python3.9", examples.MQTT_39 % broker.port, network="host")
    before = broker.received
    answers = [host.call(name, content="hello") for _ in range(CALLS)]
    failed = [answer.text for answer in answers if answer.status_code != 200]
    assert failed == []
    assert broker.received > before


@on_the_pages_runtimes
def test_the_example_that_updates_a_thing_asks_and_revokes_its_token(host: Server, runtime: str) -> None:
    properties = "/spaces/examples/categories/rooms/things/01/properties"
    with HttpRecorder() as api:
        api.answer_json("POST", "/oauth2/token", 200, {"access_token": "t0ken", "expires_in": 60})
        api.answer_json("POST", "/oauth2/revoke", 200, {})
        api.answer_json("PUT", properties, 200, {"temperature": 27})
        name = deployed(host, runtime, with_api(examples.THING_39, api.url), network="host")
        answer = host.call(name)
        assert (answer.status_code, answer.text) == (200, "Property updated!")
    token, update, revoked = api.requests
    assert (token.target, revoked.target) == ("/oauth2/token", "/oauth2/revoke")
    assert b"client_secret=s3cret" in token.body and b"thing.update" in token.body
    assert (update.method, update.target, update.json) == ("PUT", properties, {"temperature": 27})
    assert update.header("authorization") == "Bearer t0ken"


def with_api(source: str, url: str) -> str:
    """``swx`` asks the API that its variable names, as an operator sets it."""
    return f"import os\nos.environ['SWX_API_URL'] = '{url}'\n" + source % url
