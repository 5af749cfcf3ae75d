"""A function's answers in a browser, where functions share the API's origin (docs/browsers.md)."""

from __future__ import annotations

import httpx
import pytest

from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.raw_http import RawAnswer, exchange, target
from tests.support.server import Server

SANDBOX = "sandbox allow-scripts allow-forms allow-popups"
HTML = "def handle(req):\n    return {'headers': {'Content-Type': 'text/html'}, 'body': '<p>x'}\n"
OF_THE_API = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def assert_sandboxed(answer: RawAnswer) -> None:
    assert SANDBOX in answer.all("content-security-policy")
    assert answer.one("x-content-type-options") == "nosniff"


@pytest.mark.promise("S102")
def test_every_answer_of_a_function_is_sandboxed_and_not_sniffed(server: Server, deploy: Deploy) -> None:
    name = deploy("page", HTML)
    for tail in ("", "/", "/a/b.html", "/a%2Fb"):
        answer = exchange(server, "GET", target(name, tail))
        assert answer.status == 200
        assert_sandboxed(answer)
        assert answer.all("content-security-policy") == [SANDBOX]


@pytest.mark.parametrize("status", [201, 204, 302, 304, 404, 500, 599])
def test_whatever_its_status(server: Server, deploy: Deploy, status: int) -> None:
    name = deploy(f"page-{status}", f"def handle(req):\n    return {{'status_code': {status}}}\n")
    answer = exchange(server, "GET", target(name))
    assert answer.status == status
    assert_sandboxed(answer)


@pytest.mark.parametrize(
    "own",
    [
        "default-src 'self'",
        "sandbox allow-scripts allow-same-origin",
        "sandbox",
        "",
        "default-src *, sandbox allow-same-origin",
    ],
)
def test_a_functions_own_policy_stands_beside_the_sandbox_and_never_in_its_place(
    server: Server, deploy: Deploy, own: str
) -> None:
    name = deploy(
        "own-policy",
        "def handle(req):\n"
        f"    return {{'headers': [('Content-Security-Policy', {own!r}), ('X-Content-Type-Options', 'none'),"
        " ('Connection', 'Content-Security-Policy, X-Content-Type-Options')], 'body': 'x'}\n",
    )
    answer = exchange(server, "GET", target(name))
    assert_sandboxed(answer)
    # What its Connection names goes, as ever; what the platform says does not.
    assert answer.all("content-security-policy") == [SANDBOX]
    name = deploy(
        "own-policy-2",
        f"def handle(req):\n    return {{'headers': {{'content-SECURITY-policy': {own!r}}}}}\n",
    )
    assert exchange(server, "GET", target(name)).all("content-security-policy") == [own, SANDBOX]


def test_the_platforms_own_answers_on_a_functions_way_are_sandboxed_too(
    server: Server, deploy: Deploy
) -> None:
    private = deploy("private-page", HTML)
    raises = deploy("raises-page", "def handle(req):\n    raise ValueError('<script>')\n")
    answers = {
        401: exchange(server, "GET", target(private), token=False),
        404: exchange(server, "GET", target("no-such-page")),
        405: exchange(server, "PROPFIND", target(private)),
        413: exchange(server, "POST", target(private), [("Expect", "100-continue")], body=b"x" * (17 << 20)),
        422: exchange(server, "GET", target(private), [("X-Timeout", "never")]),
        500: exchange(server, "GET", target(raises)),
    }
    for status, answer in answers.items():
        assert answer.status == status
        assert_sandboxed(answer)
    head = exchange(server, "HEAD", target(private))
    assert (head.status, head.body) == (405, b"")
    assert_sandboxed(head)


@pytest.mark.promise("S103")
def test_what_acts_on_the_whole_origin_does_not_get_out(server: Server, deploy: Deploy) -> None:
    name = deploy(
        "further",
        "def handle(req):\n"
        "    return {'headers': [(name, 'x') for name in ('Service-Worker-Allowed', 'Clear-Site-Data', 'NEL',"
        " 'Report-To', 'Reporting-Endpoints', 'X-LiteSpeed-Location', 'X-Reproxy-URL',"
        " 'X-Lighttpd-Send-File', 'X_Accel_Redirect', 'Set_Cookie', 'Alt-Svc', 'X-Kept')],"
        " 'body': 'x'}\n",
    )
    answer = exchange(server, "GET", target(name))
    assert [key for key, value in answer.headers if value == "x"] == ["X-Kept"]


@pytest.mark.promise("S104")
def test_a_cookie_of_a_function_comes_back_to_that_function_alone(server: Server, deploy: Deploy) -> None:
    sets = deploy(
        "sets-cookies",
        "def handle(req):\n"
        "    return {'headers': [('Set-Cookie', 'a=1; Path=/; Domain=127.0.0.1'),"
        " ('set-cookie', '__Host-b=2; Path=/'), ('Set-Cookie', 'c=3')],"
        " 'body': req.headers.get('Cookie', 'none')}\n",
    )
    other = deploy(
        "gets-cookies", "def handle(req):\n    return {'body': req.headers.get('Cookie', 'none')}\n"
    )
    answer = exchange(server, "GET", target(sets))
    path = target(sets)
    assert answer.all("set-cookie") == [f"a=1; Path={path}", f"c=3; Path={path}"]
    with httpx.Client(base_url=server.url, headers=dict(server.client.headers), timeout=60) as browser:
        assert browser.get(target(sets)).text == "none"
        assert browser.get(target(sets)).text == "a=1; c=3"
        assert browser.get(target(sets, "/further")).text == "a=1; c=3"
        assert browser.get(target(other)).text == "none"
        for path in ("/docs", "/", "/spaces/demo/functions"):
            assert "cookie" not in browser.build_request("GET", path).headers


@pytest.mark.promise("S105")
def test_the_script_of_a_service_worker_is_refused(server: Server, deploy: Deploy) -> None:
    name = deploy("worker-script", HTML)
    answer = exchange(server, "GET", target(name, "/sw.js"), [("Service-Worker", "script")])
    error = assert_envelope(answer, 403, "service worker")
    assert error["details"]["header"] == "Service-Worker"
    # Before it is known whether there is such a function.
    absent = exchange(server, "GET", target("none-such"), [("Service-Worker", "script")], token=False)
    assert absent.body == answer.body


@pytest.mark.promise("S106")
def test_the_api_is_neither_framed_nor_opened_nor_embedded_nor_sniffed(server: Server) -> None:
    paths = ("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/assets/swagger-ui.css",
             "/spaces/demo/functions", "/nothing", "/spaces/demo/functions/none-such")  # fmt: skip
    for token in (True, False):
        for path in paths:
            answer = exchange(server, "GET", path, token=token)
            for name, value in OF_THE_API.items():
                assert answer.one(name) == value, (path, name)
            policy = answer.one("content-security-policy")
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, path


def test_the_page_of_the_api_runs_its_own_scripts_and_no_others(server: Server) -> None:
    first, second = (exchange(server, "GET", "/docs") for _ in range(2))
    policies = [answer.one("content-security-policy") for answer in (first, second)]
    assert policies[0] != policies[1]  # a nonce that can be guessed is none
    nonce = policies[0].split("script-src 'nonce-")[1].split("'")[0]
    assert "script-src 'self'" not in policies[0]
    assert first.body.count(b"<script") == first.body.count(f'<script nonce="{nonce}"'.encode()) == 2
