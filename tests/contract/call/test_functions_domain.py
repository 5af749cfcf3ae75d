"""``functions_domain``: a host for each function, and the API at none of them (docs/browsers.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeServer
from tests.support.envelope import assert_envelope
from tests.support.raw_http import BEARER, Pairs, RawAnswer, exchange, send, target
from tests.support.server import REPOSITORY, SPACE, Server

DOMAIN = "fn.example.org"
SANDBOX = "sandbox allow-scripts allow-forms allow-popups"
SOURCE = """
def handle(req):
    seen = "|".join([req.method, req.path, req.query.get("q", ""), req.headers.get("Cookie", "none")])
    return {"headers": [("Set-Cookie", "a=1; Path=/x; Domain=fn.example.org"), ("X-Seen", seen),
                        ("WWW-Authenticate", "Basic"), ("Service-Worker-Allowed", "/"),
                        ("Clear-Site-Data", "*")],
            "body": req.body}
"""


def at(
    server: Server, host: str, path: str, method: str = "GET", headers: Pairs = (), *, token: bool = False
) -> RawAnswer:
    """One request for a host."""
    pairs = [("Host", host), *([BEARER] if token else []), *headers]
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs), "", ""]
    return send(server, "\r\n".join(lines).encode("latin-1"), method)


def a_server(make: MakeServer, domain: str, api: str | None) -> Server:
    running = make(workers=1, functions_domain=domain, public_url=api)
    running.deploy("open", SOURCE, public=True)
    running.deploy("shut", SOURCE)
    return running


@pytest.fixture(scope="module")
def apart(module_server: MakeServer) -> Server:
    return a_server(module_server, DOMAIN, "https://cellblock.example.com")


@pytest.fixture(scope="module")
def near(module_server: MakeServer) -> Server:
    return a_server(module_server, DOMAIN, "https://cellblock.example.org")


@pytest.mark.promise("S109")
def test_a_function_is_called_at_a_host_of_its_own(apart: Server) -> None:
    for host in (f"open.{SPACE}.{DOMAIN}", f"OPEN.{SPACE.upper()}.{DOMAIN}:8443", f"open.{SPACE}.{DOMAIN}."):
        answer = at(apart, host, "/a%20b/c?q=1", "PUT")
        assert answer.status == 200
        assert answer.one("x-seen") == "PUT|/a b/c|1|none"
        assert answer.one("x-invoked") == "true"
        assert len(answer.all("x-call-id")) == 1
    # Every path is the function's, those of the API too.
    for path in ("/", "/healthz", "/docs", f"/spaces/{SPACE}/functions", target("shut")):
        assert at(apart, f"open.{SPACE}.{DOMAIN}", path).one("x-seen") == f"GET|{path}||none"


def test_who_may_call_is_decided_there_as_everywhere(apart: Server) -> None:
    host = f"shut.{SPACE}.{DOMAIN}"
    assert_envelope(at(apart, host, "/"), 401)
    assert at(apart, host, "/", token=True).status == 200
    absent = f"none-such.{SPACE}.{DOMAIN}"
    assert at(apart, absent, "/").body == at(apart, host, "/").body
    assert_envelope(at(apart, absent, "/", token=True), 404, "function not found")
    assert at(apart, host, "/", "HEAD", token=True).status == 405
    assert_envelope(at(apart, host, "/", "OPTIONS"), 405)


@pytest.mark.promise("S110")
def test_the_api_answers_there_to_nobody(apart: Server) -> None:
    hosts = (DOMAIN, f"{SPACE}.{DOMAIN}", f"a.open.{SPACE}.{DOMAIN}", f"-.{SPACE}.{DOMAIN}", f"{DOMAIN}.:80",
             f"open_.{SPACE}.{DOMAIN}")  # fmt: skip
    paths = (
        "/",
        "/healthz",
        "/readyz",
        "/docs",
        "/openapi.json",
        f"/spaces/{SPACE}/functions",
        target("open"),
    )
    for host in hosts:
        for path in paths:
            for method in ("GET", "POST", "DELETE"):
                assert_envelope(at(apart, host, path, method, token=True), 404, "functions only")
    for path in ("/healthz", "/docs"):
        assert at(apart, hosts[0], path, "HEAD").status == 404
    # And at every other host it is where it was, with the functions at their paths.
    for host in ("cellblock.example.com", "127.0.0.1", f"x{DOMAIN}", f"open.{SPACE}.{DOMAIN}.example.com"):
        assert at(apart, host, "/healthz").status == 200
        assert at(apart, host, target("open")).status == 200


@pytest.mark.promise("T61")
def test_the_sandbox_goes_where_the_origin_is_the_functions_own_and_nowhere_else(apart: Server) -> None:
    own = at(apart, f"open.{SPACE}.{DOMAIN}", "/")
    assert own.all("content-security-policy") == []
    assert own.one("x-content-type-options") == "nosniff"
    assert own.one("www-authenticate") == "Basic"
    shared = exchange(apart, "GET", target("open"))
    assert shared.one("content-security-policy") == SANDBOX
    assert not shared.all("www-authenticate")
    for answer in (own, shared):
        assert not answer.all("service-worker-allowed") and not answer.all("clear-site-data")


def test_a_worker_of_its_own_origin_is_the_functions_to_register(apart: Server) -> None:
    worker = [("Service-Worker", "script")]
    assert at(apart, f"open.{SPACE}.{DOMAIN}", "/sw.js", headers=worker).status == 200
    assert exchange(apart, "GET", target("open", "/sw.js"), worker).status == 403


@pytest.mark.promise("T62")
def test_a_cookie_stays_at_the_host_of_its_function(apart: Server) -> None:
    host = f"open.{SPACE}.{DOMAIN}"
    assert at(apart, host, "/").one("set-cookie") == "a=1; Path=/x"
    # Another function's page can have set the first for all of the domain; nobody but this host the second.
    sent = [("Cookie", "a=forged; __Host-b=2; c=3")]
    assert at(apart, host, "/", headers=sent).one("x-seen") == "GET|/||__Host-b=2"
    assert at(apart, host, "/", headers=[("Cookie", "a=forged")]).one("x-seen") == "GET|/||none"
    assert exchange(apart, "GET", target("open"), sent).one("x-seen") == "GET|/||a=forged; __Host-b=2; c=3"


def test_the_operator_is_told_what_the_domain_lacks(apart: Server, near: Server) -> None:
    assert "is not on the public-suffix list" in apart.log and "__Host-" in apart.log
    assert f"{DOMAIN} and the API's host cellblock.example.org are one site, example.org" in near.log


def test_where_cookies_would_cross_to_the_api_the_sandbox_stays(near: Server) -> None:
    answer = at(near, f"open.{SPACE}.{DOMAIN}", "/")
    assert answer.one("content-security-policy") == SANDBOX
    assert answer.one("set-cookie") == "a=1; Path=/x"
    # Scripts set none from there, so all are the function's own.
    assert at(near, f"open.{SPACE}.{DOMAIN}", "/", headers=[("Cookie", "a=1")]).one("x-seen") == "GET|/||a=1"


def test_option_cors_holds_there_too(apart: Server) -> None:
    apart.deploy("shares", SOURCE, cors=["https://page.example"])
    host = f"shares.{SPACE}.{DOMAIN}"
    asked = [("Origin", "https://page.example"), ("Access-Control-Request-Method", "POST")]
    assert at(apart, host, "/x", "OPTIONS", asked).status == 204
    assert (
        at(apart, host, "/x", headers=asked[:1]).one("access-control-allow-origin") == "https://page.example"
    )


def test_a_start_that_would_hide_the_api_is_refused(tmp_path: Path) -> None:
    settings = {"CELLBLOCK_FUNCTIONS_DOMAIN": DOMAIN, "CELLBLOCK_PUBLIC_URL": f"https://api.{DOMAIN}"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "supervisor.cli",
            "serve",
            "--data-dir",
            str(tmp_path),
            "--bind",
            "127.0.0.1:0",
        ],
        env={**os.environ, **settings},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "is below it, where there are functions only" in done.stderr
    assert "Traceback" not in done.stderr
