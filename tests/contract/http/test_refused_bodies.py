"""A refusal before the body was read reaches clients that send all of their body before they read.

Each client sends 17 MiB and has to be told why they are not wanted, 20 times of 20: by itself and through
nginx, which sends its own requests, with the body read before or passed on as it comes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import requests

from tests.conftest import MakeServer
from tests.contract.http.dialogue import DEADLINE_SECONDS, Line
from tests.support.eventually import eventually
from tests.support.server import SPACE, TOKEN, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TIMES = 20
BODY = bytes(17 << 20)
CREDENTIAL = f"Bearer {TOKEN}"
CLIENTS = Path(__file__).parent / "clients"
PROGRAM_SECONDS = 240.0
# 413: what the default allows is 16 MiB.
QUIET = "def handle(req):\n    return {'body': 'quiet'}\n"
# 429: it is busy, one call waits for it, and no more may.
BUSY = "import time\ndef handle(req):\n    if req.query:\n        time.sleep(600)\n"
QUEUE_SECONDS = 600
REFUSALS = {
    401: ("quiet", ""),
    404: ("absent", CREDENTIAL),
    413: ("quiet", CREDENTIAL),
    429: ("busy", CREDENTIAL),
}

Client = Callable[[str, str], str]


def told(status: int, body: bytes) -> str:
    """As the programs in ``clients`` print it."""
    return f"{status} {json.loads(body)['error']['status']}"


def headers(credential: str) -> dict[str, str]:
    return {"Authorization": credential} if credential else {}


def by_http_client(url: str, credential: str) -> str:
    parts = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=DEADLINE_SECONDS)) as connection:
        connection.request("POST", parts.path, BODY, headers(credential))
        answer = connection.getresponse()
        return told(answer.status, answer.read())


def by_urllib(url: str, credential: str) -> str:
    request = urllib.request.Request(url, BODY, headers(credential))
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            return told(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return told(error.code, error.read())


def by_requests(url: str, credential: str) -> str:
    answer = requests.post(url, BODY, headers=headers(credential), timeout=DEADLINE_SECONDS)
    return told(answer.status_code, answer.content)


def by_httpx(url: str, credential: str) -> str:
    answer = httpx.post(url, content=BODY, headers=headers(credential), timeout=DEADLINE_SECONDS)
    return told(answer.status_code, answer.content)


IN_PYTHON: dict[str, Client] = {
    "http.client": by_http_client,
    "urllib": by_urllib,
    "requests": by_requests,
    "httpx": by_httpx,
}


def program(name: str) -> str:
    """Where it is; without it the test is skipped by its name, or fails where nothing may be missing."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} is not installed"
        if os.environ.get("REQUIRE_SANDBOX") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def lines_of(command: list[str], environment: dict[str, str] | None = None) -> list[str]:
    """What a program prints."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PROGRAM_SECONDS,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().splitlines()


@pytest.fixture(scope="module")
def server(module_server: MakeServer) -> Iterator[Server]:
    """It has a function that has time and one that has none."""
    running = module_server(workers=1, blank_cells=1, queue_depth=1, queue_seconds=QUEUE_SECONDS)
    running.deploy("quiet", QUIET)
    running.deploy("busy", BUSY, max_instances=1, max_request=20, timeout=600)
    assert running.call("busy").status_code == 200  # there is an instance, so one call runs and one waits
    with Line(running) as runs, Line(running) as waits:
        for line in (runs, waits):
            head = f"POST /spaces/{SPACE}/functions/busy/invoke?long=1 HTTP/1.1\r\nHost: x\r\n"
            line.send(f"{head}Authorization: {CREDENTIAL}\r\nContent-Length: 0\r\n\r\n".encode())
            eventually(line.is_read, "the front does not read")
        assert running.call("quiet").text == "quiet"
        yield running


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The client in Go, built."""
    folder = tmp_path_factory.mktemp("go")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
    }
    built = str(folder / "refused")
    lines_of([program("go"), "build", "-o", built, str(CLIENTS / "refused.go")], environment)
    return built


@pytest.fixture(scope="module")
def nginx(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where it passes requests on to the server: ``on`` and ``off`` are its ``proxy_request_buffering``."""
    binary = program("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    places = {}
    servers = ""
    for buffering in ("on", "off"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            places[buffering] = f"127.0.0.1:{free.getsockname()[1]}"
        servers += (
            f"server {{ listen {places[buffering]}; location / {{ proxy_pass http://cellblock;"
            f" proxy_request_buffering {buffering}; }} }}\n"
        )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        + ("user root;\n" if os.geteuid() == 0 else "")
        + "events { worker_connections 64; }\n"
        f"http {{ access_log off; client_max_body_size 0;\n{temporary}"
        f"upstream cellblock {{ server {urlsplit(server.url).netloc}; keepalive 4; }}\n"
        f'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;\n{servers}}}\n'
    )
    with subprocess.Popen([binary, "-c", f"{folder}/nginx.conf", "-p", str(folder)]) as running:
        try:
            for place in places.values():
                eventually(lambda place=place: _listens(place), "nginx does not listen")
            yield places
        finally:
            running.terminate()


def _listens(place: str) -> bool:
    host, _, port = place.partition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def address(server: Server, name: str) -> str:
    return f"{server.url}/spaces/{SPACE}/functions/{name}/invoke"


@pytest.mark.promise("S112")
@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("client", IN_PYTHON)
def test_a_refusal_before_the_body_was_read_is_read(server: Server, client: str, status: int) -> None:
    name, credential = REFUSALS[status]
    found = [IN_PYTHON[client](address(server, name), credential) for _ in range(TIMES)]
    assert found == [f"{status} {status}"] * TIMES


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("expects", ["Expect: 100-continue", "Expect:"])
def test_curl_reads_a_refusal(server: Server, tmp_path: Path, expects: str, status: int) -> None:
    name, credential = REFUSALS[status]
    (tmp_path / "body").write_bytes(BODY)
    curl = [program("curl"), "--silent", "--show-error", "--max-time", "20", "-w", " %{http_code}\n"]
    curl += ["--data-binary", f"@{tmp_path / 'body'}", "-H", expects]
    curl += ["-H", f"Authorization: {credential}"] if credential else []
    found = [line for _ in range(TIMES) for line in lines_of([*curl, address(server, name)])]
    assert len(found) == TIMES
    assert {line.rpartition(" ")[2] for line in found} == {str(status)}
    assert {json.loads(line.rpartition(" ")[0])["error"]["status"] for line in found} == {status}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_client_in_go_reads_a_refusal(server: Server, go_client: str, status: int) -> None:
    name, credential = REFUSALS[status]
    found = lines_of([go_client, str(TIMES), address(server, name), credential, str(len(BODY))])
    assert found == [f"{status} {status}"] * TIMES


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("script", ["refused_http.mjs", "refused_fetch.mjs"])
def test_a_client_in_node_reads_a_refusal(server: Server, script: str, status: int) -> None:
    name, credential = REFUSALS[status]
    command = [program("node"), str(CLIENTS / script), str(TIMES), address(server, name), credential]
    assert lines_of([*command, str(len(BODY))]) == [f"{status} {status}"] * TIMES


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_a_refusal_is_read_through_nginx(
    server: Server, nginx: dict[str, str], buffering: str, status: int
) -> None:
    name, credential = REFUSALS[status]
    url = f"http://{nginx[buffering]}/spaces/{SPACE}/functions/{name}/invoke"
    assert [by_http_client(url, credential) for _ in range(TIMES)] == [f"{status} {status}"] * TIMES
