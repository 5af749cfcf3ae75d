"""Option ``cors``: what a page of another origin may do with a function (docs/browsers.md)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.raw_http import Pairs, RawAnswer, exchange, target
from tests.support.server import SPACE, Server

PAGE = "https://page.example"
EVIL = "https://evil.example"
SOURCE = """
import time

def handle(req):
    what = req.path.strip("/")
    if what == "raise":
        raise ValueError("x")
    if what == "break":
        return {"status_code": 7}
    if what == "slow":
        time.sleep(5)
    if what == "crash":
        import os
        os._exit(3)
    return {"body": req.method, "headers": {"Access-Control-Allow-Origin": "https://own.example",
                                            "Access-Control-Allow-Credentials": "true", "Vary": "Accept"}}
"""
# What differs from answer to answer.
OF_ONE = ("x-call-id", "x-duration-seconds", "server-timing", "date")


def asked(origin: str, method: str = "POST", *more: tuple[str, str]) -> Pairs:
    """What a browser sends ahead."""
    return [("Origin", origin), ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", "authorization,content-type"), *more]  # fmt: skip


def preflight(server: Server, name: str, origin: str, *more: tuple[str, str]) -> RawAnswer:
    return exchange(server, "OPTIONS", target(name), asked(origin, "POST", *more), token=False)


def same(answer: RawAnswer) -> object:
    """All of an answer that an attacker could tell two functions apart by."""
    return (
        answer.status,
        answer.body,
        sorted(item for item in answer.headers if item[0].lower() not in OF_ONE),
    )


def instances(server: Server, name: str, which: str = "replicas") -> int:
    return int(server.client.get(f"/spaces/{SPACE}/functions/{name}").json()["metrics"][which])


@pytest.fixture(scope="module")
def listed(deploy: Deploy) -> str:
    return deploy("cors-listed", SOURCE, cors=[PAGE, "null"], public=True, timeout=1, max_request=1)


@pytest.mark.promise("S107")
def test_a_preflight_is_answered_without_an_instance(server: Server, deploy: Deploy) -> None:
    for cors, allowed in ([PAGE], PAGE), ("*", "*"), (f"{EVIL},{PAGE}", PAGE):
        name = deploy("cors-preflight", SOURCE, cors=cors)
        answer = preflight(server, name, PAGE)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.one("access-control-allow-origin") == allowed
        assert answer.one("access-control-allow-methods") == "DELETE, GET, PATCH, POST, PUT"
        assert "Authorization" in answer.one("access-control-allow-headers")
        assert answer.one("access-control-max-age") == "600"
        assert answer.all("vary") == ([] if allowed == "*" else ["Origin"])
        assert not answer.all("access-control-allow-credentials") and not answer.all("x-invoked")
        assert not answer.all("access-control-allow-private-network")
        assert len(answer.all("x-call-id")) == 1
        assert instances(server, name) == 0


def test_a_page_of_a_public_address_may_ask_for_a_server_in_a_private_network(
    server: Server, listed: str
) -> None:
    answer = preflight(server, listed, PAGE, ("Access-Control-Request-Private-Network", "true"))
    assert answer.one("access-control-allow-private-network") == "true"


@pytest.mark.promise("S108")
def test_every_answer_of_the_function_can_be_read_refusals_too(
    server: Server, listed: str, deploy: Deploy
) -> None:
    origin = ("Origin", PAGE)
    private = deploy("cors-private", SOURCE, cors=[PAGE])
    answers = {
        200: exchange(server, "GET", target(listed), [origin]),
        401: exchange(server, "GET", target(private), [origin], token=False),
        403: exchange(server, "GET", target(listed), [origin, ("Service-Worker", "script")]),
        405: exchange(server, "PROPFIND", target(listed), [origin]),
        413: exchange(server, "POST", target(listed), [origin], body=b"x" * ((1 << 20) + 1)),
        422: exchange(server, "GET", target(listed), [origin, ("X-Timeout", "never")]),
        500: exchange(server, "GET", target(listed, "/raise"), [origin]),
        502: exchange(server, "GET", target(listed, "/break"), [origin]),
        504: exchange(server, "GET", target(listed, "/slow"), [origin]),
    }
    # Its length is not told, so that it is refused while it comes.
    chunks = [b"x" * (1 << 19)] * 3
    late = exchange(server, "POST", target(listed), [origin], chunks=chunks)
    for status, answer in [*answers.items(), (413, late)]:
        assert answer.status == status
        assert answer.one("access-control-allow-origin") == PAGE, status
        assert "X-Call-Id" in answer.one("access-control-expose-headers"), status
        assert "Origin" in answer.all("vary"), status
        assert not answer.all("access-control-allow-credentials"), status
    crashed = exchange(server, "GET", target(listed, "/crash"), [origin])
    assert (crashed.status, crashed.one("access-control-allow-origin")) == (502, PAGE)
    head = exchange(server, "HEAD", target(listed), [origin])
    assert (head.status, head.one("access-control-allow-origin")) == (405, PAGE)


def test_a_page_can_read_that_a_function_is_busy(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=1, queue_seconds=0.2)
    source = "import time\n\ndef handle(req):\n    time.sleep(float(req.query['seconds']))\n"
    server.deploy("busy", source, cors="*", max_instances=1, min_instances=1)
    eventually(lambda: instances(server, "busy", "available_replicas") == 1)
    # It is there; once it has answered it serves.
    eventually(lambda: exchange(server, "GET", target("busy", "?seconds=0")).status == 200)
    path = target("busy", "?seconds=2")
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: exchange(server, "GET", path, [("Origin", PAGE)]), range(3)))
    assert 429 in [answer.status for answer in answers]
    for answer in answers:
        assert answer.one("access-control-allow-origin") == "*"
        assert "Retry-After" in answer.one("access-control-expose-headers")


def test_the_platforms_word_stands_in_place_of_the_functions_own(server: Server, listed: str) -> None:
    answer = exchange(server, "GET", target(listed), [("Origin", PAGE)])
    assert answer.all("access-control-allow-origin") == [PAGE]
    assert answer.all("vary") == ["Accept", "Origin"]
    other = exchange(server, "GET", target(listed), [("Origin", EVIL)])
    assert other.status == 200  # the browser keeps the answer from the page; the caller may call
    assert not other.all("access-control-allow-origin")
    assert other.all("vary") == ["Accept", "Origin"]


def test_without_the_option_the_functions_own_word_stands(server: Server, deploy: Deploy) -> None:
    answer = exchange(server, "GET", target(deploy("cors-own", SOURCE)), [("Origin", PAGE)])
    assert answer.all("access-control-allow-origin") == ["https://own.example"]
    assert answer.all("access-control-allow-credentials") == ["true"]


def test_a_sandboxed_pages_own_origin_is_admitted_where_null_or_all_are(
    server: Server, listed: str, deploy: Deploy
) -> None:
    assert preflight(server, listed, "null").one("access-control-allow-origin") == "null"
    assert (
        preflight(server, deploy("cors-any", SOURCE, cors="*"), "null").one("access-control-allow-origin")
        == "*"
    )
    assert_envelope(preflight(server, deploy("cors-no-null", SOURCE, cors=[PAGE]), "null"), 405)


@pytest.mark.promise("T60")
def test_whoever_names_no_admitted_origin_cannot_tell_a_function_from_none(
    server: Server, deploy: Deploy
) -> None:
    functions = (
        "cors-none-such",
        deploy("cors-hidden", SOURCE),
        deploy("cors-hidden-listed", SOURCE, cors=[PAGE]),
        deploy("cors-hidden-empty", SOURCE, cors=[]),
    )
    for method, headers in (
        ("OPTIONS", asked(EVIL)),
        ("OPTIONS", [("Origin", EVIL)]),
        ("OPTIONS", ()),
        ("POST", [("Origin", EVIL)]),
        ("POST", ()),
        ("PROPFIND", [("Origin", EVIL)]),
        ("HEAD", [("Origin", EVIL)]),
        ("POST", [("Origin", EVIL), ("Service-Worker", "script")]),
        ("POST", [("Origin", PAGE), ("Origin", PAGE)]),
    ):
        answers = [exchange(server, method, target(name), headers, token=False) for name in functions]
        assert answers[0].status in (401, 403, 405)
        assert [same(answer) for answer in answers] == [same(answers[0])] * len(answers), (method, headers)


def test_what_is_refused_for_its_body_is_never_called_with_a_part_of_it(
    server: Server, deploy: Deploy
) -> None:
    counts = (
        "calls = []\n\ndef handle(req):\n    calls.append(len(req.body))\n    return {'body': str(calls)}\n"
    )
    name = deploy("cors-counts", counts, max_request=1)
    for _ in range(3):
        parts = [b"x" * (1 << 18)] * 9
        assert_envelope(exchange(server, "POST", target(name), [("Origin", PAGE)], chunks=parts), 413)
    assert exchange(server, "POST", target(name), [("Origin", PAGE)], body=b"abc").body == b"[3]"


def test_options_that_no_browser_sent_never_reaches_a_function(server: Server, listed: str) -> None:
    for headers in ([], [("Origin", PAGE)], [("Access-Control-Request-Method", "POST")]):
        assert_envelope(exchange(server, "OPTIONS", target(listed), headers), 405, "preflight")


def test_what_is_no_list_of_origins_is_refused_when_it_is_deployed(server: Server) -> None:
    body = {"name": "cors-bad", "source": {"code": ""}, "options": {"cors": ["https://page.example/path"]}}
    answer = server.client.post(f"/spaces/{SPACE}/functions", json=body)
    error = assert_envelope_of_api(answer)
    assert "options.cors" in error and "is no origin" in error


def assert_envelope_of_api(answer: object) -> str:
    assert answer.status_code == 422, answer.text  # type: ignore[attr-defined]
    return str(answer.json()["error"]["message"])  # type: ignore[attr-defined]


def test_the_option_is_shown_as_it_is_kept_and_the_same_deploy_makes_no_new_version(
    server: Server, deploy: Deploy
) -> None:
    for _ in range(2):
        made = server.deploy(
            deploy("cors-shown", SOURCE, cors="HTTPS://Page.example:443"), SOURCE, cors=[PAGE]
        )
        assert made["options"]["cors"] == made["limits"]["cors"] == [PAGE]
        assert made["version"] == 1
