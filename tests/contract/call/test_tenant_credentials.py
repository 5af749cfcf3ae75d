"""Calls with the credentials of spaces, at a server with two fronts."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from supervisor.tenancy.token_format import minted
from tests.conftest import MakeServer
from tests.support.eventually import eventually
from tests.support.server import SPACE, Server

NAMES = itertools.count()
# A wrong token is one of them, the other after many from one address (``wrong_tokens``).
REFUSED = {401, 429}
SAYS = "def handle(req):\n    return {'body': dict(req.headers)}\n"
RAISES = "def handle(req):\n    return 1 / 0\n"
# Everything of the token's form that the process can read of itself, but for what is written here.
LOOKS = """
import ctypes, os, re
TOKEN = re.compile(b"cb_(?:key|app|tok)" + b"_[0-9A-Za-z]{40,}")

def handle(req):
    found = set(TOKEN.findall(repr((os.environ, req.headers, req.query, req.body)).encode()))
    with open("/proc/self/maps") as maps:
        areas = [line.split() for line in maps]
    for area, rights, *_ in areas:
        begin, end = (int(part, 16) for part in area.split("-"))
        if rights.startswith("rw"):
            found.update(TOKEN.findall(ctypes.string_at(begin, end - begin)))
    return {"body": {"areas": len(areas), "tokens": sorted(one.decode() for one in found)}}
"""


@pytest.fixture(scope="module")
def running(module_server: MakeServer) -> Iterator[Server]:
    """With its request log on stderr, where a test can read it."""
    server = module_server(workers=2, request_log="stderr", metrics_token=None)
    server.deploy("says", SAYS)
    server.deploy("open", SAYS, public=True)
    server.deploy("raises", RAISES, public=True)
    yield server


def made(server: Server, *scopes: str, space: str = SPACE, **more: Any) -> dict[str, Any]:
    """A new key."""
    body = {"name": f"k{next(NAMES)}", "scopes": list(scopes or ["function"]), **more}
    answer = server.client.post(f"/spaces/{space}/keys", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def called(
    server: Server, name: str, authorization: str | None, space: str = SPACE, **headers: str
) -> httpx.Response:
    """A call of a function with this header alone."""
    given = {**headers, **({} if authorization is None else {"Authorization": authorization})}
    return httpx.post(f"{server.url}/spaces/{space}/functions/{name}/invoke", headers=given, timeout=60)


@pytest.mark.promise("S196")
def test_a_key_calls_the_functions_of_its_space_and_no_function_sees_it(running: Server) -> None:
    key = made(running)["key"]
    for scheme in ("Bearer", "bearer", "BEARER"):
        answer = called(running, "says", f"{scheme} {key}")
        assert answer.status_code == 200 and answer.headers["x-invoked"] == "true"
        assert "authorization" not in answer.text.lower() and key not in answer.text
    assert called(running, "says", None).status_code == 401, "the control"


def test_a_key_of_another_space_gets_the_404_of_what_is_not_there(running: Server) -> None:
    """Also for a public function: what a token may see does not depend on what others may."""
    key = f"Bearer {made(running, space='default')['key']}"
    answers = [
        called(running, name, key)
        for name in ("says", "open", "nothing", "says%00", "s%61ys", "SAYS", "s%CE%B1ys", "%2e%2e")
    ]
    assert {answer.status_code for answer in answers} == {404}
    for answer in answers:
        assert "x-invoked" not in answer.headers
        assert answer.json()["error"]["message"].startswith(
            f"function not found: space {SPACE!r} has no function"
        )
    assert called(running, "says", key, space="nowhere").status_code == 404
    assert called(running, "nothing", f"Bearer {made(running)['key']}").status_code == 404, "in its own space"


def test_a_key_without_the_scope_or_bound_to_others_gets_a_403_that_says_so(running: Server) -> None:
    reader = called(running, "says", f"Bearer {made(running, 'function.read')['key']}")
    assert (reader.status_code, reader.json()["error"]["details"]) == (403, {"scope": "function.invoke"})
    bound = f"Bearer {made(running, 'function.invoke', functions=['open'])['key']}"
    assert called(running, "open", bound).status_code == 200
    for name in ("says", "nothing"):  # whether it is there or not
        answer = called(running, name, bound)
        assert (answer.status_code, answer.json()["error"]["details"]["functions"]) == (403, ["open"])


@pytest.mark.parametrize(
    "authorization",
    ["Bearer {0}", "{0}", "Token {0}", "bearer x, Bearer {0}", "Basic {1}", "Bearer cb_key_short"],
)
@pytest.mark.parametrize("kind", ["key", "app", "tok"])
@pytest.mark.promise("T93")
def test_a_credential_of_ours_that_is_none_never_reaches_a_public_function(
    running: Server, kind: Any, authorization: str
) -> None:
    token = minted(kind)
    header = authorization.format(token, base64.b64encode(f"id:{token}".encode()).decode())
    answer = called(running, "open", header)
    assert answer.status_code in REFUSED and "x-invoked" not in answer.headers


@pytest.mark.parametrize(
    "authorization", ["Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Basic dXNlcjpwYXNz", "Signature a=b", "cb_"]
)
@pytest.mark.promise("S203")
def test_a_public_function_gets_any_other_credential_as_it_was_sent(
    running: Server, authorization: str
) -> None:
    answer = called(running, "open", authorization)
    assert answer.status_code == 200
    assert {name.lower(): value for name, value in answer.json().items()}["authorization"] == authorization


@pytest.mark.promise("T96")
def test_a_function_finds_no_token_in_its_headers_environment_or_memory(running: Server) -> None:
    running.deploy("looks", LOOKS, memory=256)
    key, control = made(running)["key"], minted("tok")
    quiet = called(running, "looks", f"Bearer {key}")
    assert quiet.status_code == 200 and quiet.json()["tokens"] == [], quiet.text
    loud = called(running, "looks", f"Bearer {key}", **{"X-Other": control})
    assert loud.json()["tokens"] == [control], "the control: what it gets it finds"


def test_the_details_of_an_exception_go_to_holders_of_a_credential_of_that_space(running: Server) -> None:
    key = made(running)["key"]
    assert "ZeroDivisionError" in called(running, "raises", f"Bearer {key}").text
    anonymous = called(running, "raises", None)
    assert anonymous.status_code == 500 and "ZeroDivisionError" not in anonymous.text


def test_the_log_beside_an_answer_is_for_who_may_read_the_log(running: Server) -> None:
    ask = {"X-Cellblock-Logs": "tail"}
    for scopes, is_given in ((("function.invoke",), False), (("function.invoke", "log.read"), True)):
        answer = called(running, "says", f"Bearer {made(running, *scopes)['key']}", **ask)
        assert answer.status_code == 200
        assert ("x-cellblock-log-tail" in answer.headers) is is_given


@pytest.mark.parametrize("path", ["/metrics", "/healthz?verbose", "/activity"])
def test_what_is_the_administrators_is_a_403_for_a_credential_of_a_space(running: Server, path: str) -> None:
    key = made(running, "space.admin", "space.read")["key"]
    answer = httpx.get(running.url + path, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"scope": "administrator"})
    assert running.client.get(path).status_code == 200


@pytest.mark.promise("S197")
def test_a_revoked_key_is_refused_by_every_front_before_the_revocation_was_answered(running: Server) -> None:
    """Each connection stays at its front; all of them were let in, and none is after the answer."""
    with httpx.Client(base_url=running.url, timeout=60) as http:
        for _ in range(2):
            one = made(running)
            headers = {"Authorization": f"Bearer {one['key']}"}
            callers = [httpx.Client(base_url=running.url, timeout=60, headers=headers) for _ in range(8)]
            where = f"/spaces/{SPACE}/functions/says/invoke"
            try:
                assert {caller.post(where).status_code for caller in callers} == {200}
                fronts = {row["front"] for row in running.client.get("/activity").json()["instances"]}
                assert running.client.delete(f"/spaces/{SPACE}/keys/{one['id']}").status_code == 204
                assert {caller.post(where).status_code for caller in callers} <= REFUSED
                assert {caller.get("/whoami").status_code for caller in callers} <= REFUSED
            finally:
                for caller in callers:
                    caller.close()
            assert http.post(where, headers=headers).status_code in REFUSED
    assert len(fronts) == 2, "both fronts had served it"


@pytest.mark.promise("S205")
def test_a_deleted_apps_token_and_a_revoked_one_are_refused_by_every_front(running: Server) -> None:
    app = running.client.post(
        f"/spaces/{SPACE}/apps", json={"name": f"a{next(NAMES)}", "scopes": ["function"]}
    ).json()
    client = (app["client_id"], app["client_secret"])

    def token() -> dict[str, str]:
        answer = httpx.post(
            f"{running.url}/oauth2/token", data={"grant_type": "client_credentials"}, auth=client
        )
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def statuses(headers: dict[str, str]) -> set[int]:
        """Over new connections, which go to either front."""
        where = f"{running.url}/spaces/{SPACE}/functions/says/invoke"
        return {httpx.post(where, headers=headers, timeout=60).status_code for _ in range(8)}

    first, second = token(), token()
    assert statuses(first) == statuses(second) == {200}
    sent = {"token": first["Authorization"].removeprefix("Bearer ")}
    assert httpx.post(f"{running.url}/oauth2/revoke", data=sent, auth=client).status_code == 200
    assert statuses(first) <= REFUSED and statuses(second) == {200}
    running.client.delete(f"/spaces/{SPACE}/apps/{app['client_id']}")
    assert statuses(second) <= REFUSED
    again = httpx.post(f"{running.url}/oauth2/token", data={"grant_type": "client_credentials"}, auth=client)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


def test_who_follows_a_log_with_a_key_that_is_revoked_is_sent_away(running: Server) -> None:
    one = made(running, "log.read")
    headers = {"Authorization": f"Bearer {one['key']}", "Accept": "text/event-stream"}
    where = f"{running.url}/spaces/{SPACE}/functions/says/logs?follow=true"
    with httpx.stream("GET", where, headers=headers, timeout=30) as answer:
        lines = answer.iter_lines()
        assert "following" in next(lines)
        running.client.delete(f"/spaces/{SPACE}/keys/{one['id']}")
        assert any("end" in line for line in lines), "and the answer is over"
    assert httpx.get(where, headers=headers).status_code in REFUSED


def test_who_follows_a_log_is_sent_away_when_the_key_expires(running: Server) -> None:
    until = time.time() + 3
    one = made(running, "log.read", expires_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)))
    where = f"{running.url}/spaces/{SPACE}/functions/says/logs?follow=true"
    headers = {"Authorization": f"Bearer {one['key']}", "Accept": "text/event-stream"}
    with httpx.stream("GET", where, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        assert any("event: end" in line for line in answer.iter_lines())
    assert time.time() >= int(until)


def test_a_key_is_refused_from_its_expiry_on(running: Server) -> None:
    until = time.time() + 3
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    key = f"Bearer {made(running, expires_at=stamp)['key']}"
    assert called(running, "says", key).status_code == 200
    eventually(lambda: called(running, "says", key).status_code in REFUSED)
    assert time.time() >= int(until)


@pytest.mark.promise("T95")
def test_no_secret_is_in_a_log_a_metric_the_description_or_a_byte_on_disk(running: Server) -> None:
    one = made(running)
    app = running.client.post(
        f"/spaces/{SPACE}/apps", json={"name": f"a{next(NAMES)}", "scopes": ["function"]}
    ).json()
    client = (app["client_id"], app["client_secret"])
    token = httpx.post(
        f"{running.url}/oauth2/token", data={"grant_type": "client_credentials"}, auth=client
    ).json()["access_token"]
    wrong = one["key"][:-1] + ("0" if one["key"][-1] != "0" else "1")
    for secret in (one["key"], token, wrong, app["client_secret"]):
        for name in ("says", "open", "raises", "nothing"):
            called(running, name, f"Bearer {secret}")
        httpx.get(
            f"{running.url}/spaces/{SPACE}/functions/{secret}", headers={"Authorization": f"Bearer {secret}"}
        )
    key_line = f'"credential": "key:{one["id"]}"'
    running.said(key_line)
    running.said(f'"credential": "app:{app["client_id"]}"')
    texts = {
        "metrics": running.client.get("/metrics").text,
        "openapi": httpx.get(f"{running.url}/openapi.json").text,
        "keys": running.client.get(f"/spaces/{SPACE}/keys").text,
        "logs": running.client.get(f"/spaces/{SPACE}/logs?tail=1000").text,
        **{
            str(path): path.read_bytes().decode("latin-1")
            for path in running.data_dir.rglob("*")
            if path.is_file()
        },
    }
    assert any(one["id"] in text for text in texts.values()), "the control"
    for secret in (one["key"], token, app["client_secret"]):
        assert [name for name, text in texts.items() if secret in text or secret[8:48] in text] == []
    # The request log has a path as it was asked for: a secret in an address is lost, and the page says so.
    lines = [line for line in running.log.splitlines() if '"path"' not in line]
    assert not any(one["key"] in line for line in lines)
