"""docs/deployment.md and deploy/nginx.conf, used: a real nginx takes TLS off before a real server."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from supervisor.front.invoke.callers.wrong_tokens import BURST
from supervisor.function_limits import DEFAULT_CEILINGS, MIB
from supervisor.settings.declarations import Settings
from tests.conftest import MakeServer
from tests.support.eventually import eventually
from tests.support.server import SPACE, TOKEN, Server
from tests.support.together import together
from tests.support.transcripts import (
    AS_ON_A_TERMINAL,
    BIN,
    COMMAND_SECONDS,
    assert_prints,
    blocks_of,
    commands_of,
    environment,
    write_files,
)

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs/deployment.md").read_text(encoding="utf-8")
CONFIGURATION = (REPOSITORY / "deploy/nginx.conf").read_text(encoding="utf-8")
NAME = "cellblock.example.com"
IN_PAGE = f"https://{NAME}"
SETTINGS = Settings()
# What nginx has patience for where a test wants to see it lose that, and how long the call takes.
SHORT_S, LONG_S = 1, 2.5

ECHO = "def handle(req):\n    return {'body': {'bytes': len(req.body), 'headers': list(req.headers)}}\n"
SLOW = f"import time\ndef handle(req):\n    time.sleep({LONG_S})\n    return {{'body': 'done'}}\n"
TALK = "def handle(req):\n    print(req.body.decode())\n"


def directive(name: str) -> str:
    """The value of a directive that stands in the file once."""
    (value,) = re.findall(rf"^\s*{name}\s+(\S[^;]*);", CONFIGURATION, flags=re.MULTILINE)
    return value


def seconds(name: str) -> float:
    return float(directive(name).removesuffix("s"))


def a_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("localhost")])
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private


@dataclass(frozen=True)
class Proxy:
    """A running nginx: the port of TLS, that of plain HTTP, and what it is trusted by."""

    secure: int
    plain: int
    certificate: Path

    def client(self, **more: str) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.certificate))
        headers = {"Authorization": f"Bearer {TOKEN}", "Host": NAME, **more}
        return httpx.Client(
            base_url=f"https://localhost:{self.secure}", headers=headers, verify=context, timeout=60
        )


def a_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def nginx_before(server: Server, folder: Path, changes: dict[str, str] | None = None) -> Iterator[Proxy]:
    """nginx with our file as Debian's nginx includes it; only its places are others."""
    binary = shutil.which("nginx")
    if binary is None:
        missing = "nginx is not installed"
        pytest.fail(missing) if os.environ.get("REQUIRE_SANDBOX") == "1" else pytest.skip(missing)
    secure, plain = a_free_port(), a_free_port()
    certificate, key = a_certificate(folder)
    text = CONFIGURATION
    places = {
        "server 127.0.0.1:8080;": f"server {urlsplit(server.url).netloc};",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
        "/etc/ssl/cellblock/certificate.pem": str(certificate),
        "/etc/ssl/cellblock/key.pem": str(key),
    }
    for old, new in {**places, **(changes or {})}.items():
        assert text.count(old) == 1, f"{old} is not in deploy/nginx.conf once"
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        + ("user root;\n" if os.geteuid() == 0 else "")
        + "events { worker_connections 64; }\n"
        f"http {{ access_log off;\n{temporary}include {folder}/site.conf;\n}}\n"
    )
    command = [binary, "-c", f"{folder}/nginx.conf", "-p", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        try:
            eventually(lambda: _listens(secure), "nginx does not listen")
            yield Proxy(secure, plain, certificate)
        finally:
            running.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def server(module_server: MakeServer) -> Server:
    running = module_server(workers=1, blank_cells=1, trusted_proxies=trusted())
    for name, source in {"echoes": ECHO, "slow": SLOW, "talks": TALK}.items():
        running.deploy(name, source)
    return running


@pytest.fixture(scope="module")
def proxy(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with nginx_before(server, tmp_path_factory.mktemp("nginx")) as running:
        yield running


def invoke(name: str) -> str:
    return f"/spaces/{SPACE}/functions/{name}/invoke"


@pytest.mark.slow
@pytest.mark.needs_sandbox
def test_a_body_as_large_as_a_function_takes_by_default_passes(proxy: Proxy) -> None:
    with proxy.client() as client:
        answer = client.post(invoke("echoes"), content=bytes(16 * MIB))
    assert answer.status_code == 200, answer.text
    assert answer.json()["bytes"] == 16 * MIB


@pytest.mark.slow
@pytest.mark.needs_sandbox
def test_the_caller_is_the_last_word_of_x_forwarded_for_whatever_was_sent(proxy: Proxy) -> None:
    """That is where whoever counts from the right for the proxies that are theirs will find it."""
    with proxy.client(**{"X-Forwarded-For": "203.0.113.9"}) as client:
        headers = client.post(invoke("echoes")).json()["headers"]
    found = {name.lower(): value for name, value in headers}
    assert found["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert found["x-forwarded-proto"] == "https"
    assert found["host"] == NAME


@pytest.mark.slow
@pytest.mark.needs_sandbox
def test_who_guesses_through_it_slows_nobody_else(server: Server, proxy: Proxy) -> None:
    """Its callers have other addresses than the one that the page's setting trusts."""

    def guesses(address: str, times: int) -> set[int]:
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        transport = httpx.HTTPTransport(verify=context, local_address=address)
        headers = {"Authorization": "Bearer a-wrong-token", "X-Forwarded-For": "203.0.113.9", "Host": NAME}
        with httpx.Client(transport=transport, headers=headers, timeout=60) as client:
            url = f"https://localhost:{proxy.secure}{invoke('echoes')}"
            return {client.post(url).status_code for _ in range(times)}

    assert guesses("127.0.5.1", BURST + 3) == {401, 429}
    assert guesses("127.0.5.2", 1) == {401}
    server.said("wrong tokens from 127.0.5.1,")


@pytest.mark.slow
@pytest.mark.needs_sandbox
def test_a_log_is_followed_through_it_line_by_line(proxy: Proxy) -> None:
    with proxy.client() as client, proxy.client() as caller:
        address = f"/spaces/{SPACE}/functions/talks/logs"
        with client.stream("GET", address, params={"follow": "true", "tail": "0"}) as answer:
            lines = answer.iter_lines()
            for word in ("first", "second", "third"):
                assert caller.post(invoke("talks"), content=word).status_code == 200
                # It has come though the answer goes on: nothing on the way keeps it back.
                assert any(f'"text":"{word}"' in line for line in lines)


@pytest.mark.slow
@pytest.mark.needs_sandbox
def test_a_long_call_is_waited_for_and_with_less_patience_the_answer_is_nginxs(
    server: Server, proxy: Proxy, tmp_path: Path
) -> None:
    def call(through: Proxy) -> httpx.Response:
        with through.client() as client:
            return client.post(invoke("slow"))

    patience = {"proxy_read_timeout 960s;": f"proxy_read_timeout {SHORT_S}s;"}
    with nginx_before(server, tmp_path, patience) as impatient:
        calls: list[Callable[[], httpx.Response]] = [lambda: call(proxy), lambda: call(impatient)]
        waited, cut = together(calls)
    assert (waited.status_code, waited.text) == (200, "done")
    # The control, and how the page says to tell whose 504 it is.
    assert cut.status_code == 504
    assert "x-call-id" not in cut.headers and not cut.text.startswith("{")


@pytest.mark.slow
@pytest.mark.needs_sandbox
def test_without_tls_nothing_is_passed_on(proxy: Proxy) -> None:
    answer = httpx.post(
        f"http://127.0.0.1:{proxy.plain}{invoke('echoes')}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert answer.status_code == 403
    assert "x-call-id" not in answer.headers


# In a mount namespace of its own the page's host name is this machine's.
WITH_NAME = 'mount --bind "$0" /etc/hosts && exec "$@"'


@pytest.mark.slow
@pytest.mark.needs_root
@pytest.mark.needs_sandbox
def test_the_commands_of_the_page_print_what_it_says(proxy: Proxy, tmp_path: Path) -> None:
    blocks = blocks_of(PAGE)
    write_files(blocks, tmp_path)
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost {NAME}\n")
    variables = environment(
        SSL_CERT_FILE=str(proxy.certificate),
        CURL_CA_BUNDLE=str(proxy.certificate),
        NO_PROXY="*",
        no_proxy="*",
        XDG_CONFIG_HOME=str(tmp_path),
        LC_ALL="C.UTF-8",
        PATH=f"{BIN}:{os.environ['PATH']}",
        PYTHONPATH=str(REPOSITORY),
    )
    exports = ""
    typed = 0
    for command, expected in commands_of(blocks):
        line = command.replace(IN_PAGE, f"{IN_PAGE}:{proxy.secure}").replace("cb_…", TOKEN)
        if line.startswith("export "):
            exports = line
            continue
        script = "\n".join([AS_ON_A_TERMINAL, exports, line])
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", WITH_NAME, str(tmp_path / "hosts"), "bash", "-c", script],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert_prints(expected.replace(IN_PAGE, f"{IN_PAGE}:{proxy.secure}"), f"{done.stdout}\n{done.stderr}")
        typed += 1
    assert typed >= 5
    assert sys.executable.startswith(str(BIN))


def test_every_block_of_the_page_is_run_or_is_what_the_test_does_itself() -> None:
    languages = [language for language, _ in blocks_of(PAGE)]
    assert PAGE.count("```") == 2 * len(languages)
    # The block of text installs nginx and its file, which ``nginx_before`` does.
    assert sorted(set(languages)) == ["console", "python", "text", "toml"]
    assert languages.count("text") == languages.count("toml") == 1


def trusted() -> str:
    """The setting of the page's block of TOML, which the server of these tests has."""
    (block,) = [text for language, text in blocks_of(PAGE) if language == "toml"]
    return block.removeprefix("trusted_proxies = ").strip()


def test_nginx_has_more_patience_than_the_longest_call_and_closes_idle_connections_first() -> None:
    parts = [float(DEFAULT_CEILINGS["timeout"]), SETTINGS.queue_seconds, SETTINGS.init_seconds]
    parts.append(SETTINGS.grace_seconds)
    assert f"= {' + '.join(f'{part:g}' for part in parts)} s" in PAGE
    assert sum(parts) < seconds("proxy_read_timeout")
    keepalive = re.findall(r"keepalive_timeout (\d+)s;", CONFIGURATION)
    assert [float(value) < SETTINGS.keepalive_seconds for value in keepalive] == [True]
    assert f"`keepalive_seconds` ({SETTINGS.keepalive_seconds:g})" in PAGE
    assert seconds("client_header_timeout") == SETTINGS.head_seconds
    assert seconds("client_body_timeout") == SETTINGS.body_seconds


def test_nginx_takes_the_largest_body_and_the_largest_deploy() -> None:
    most = int(directive("client_max_body_size").removesuffix("m")) * MIB
    assert most >= int(DEFAULT_CEILINGS["max_request"]) * MIB
    assert most >= SETTINGS.bundle_max_bytes * 4 // 3 + MIB


def test_the_page_explains_each_directive_of_the_file_that_is_not_about_its_place() -> None:
    of_the_place = {"server", "listen", "return", "proxy_pass", "server_name"}
    used = set(re.findall(r"^\s*([a-z_]+)\s+[^{;]*;", CONFIGURATION, flags=re.MULTILINE)) - of_the_place
    rows = "".join(line for line in PAGE.splitlines() if line.startswith("|"))
    explained = {name for name in used if name in rows}
    headers = set(re.findall(r"proxy_set_header (\S+)", CONFIGURATION))
    assert used - explained <= {"proxy_set_header", *(name for name in used if name.startswith("ssl_"))}
    assert all(name in rows for name in headers - {"X-Forwarded-Proto"})
