"""The `swx` stand-in against a real HTTP server of this test."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

STANDINS = Path(__file__).parents[2] / "worker/standins"


class Answers(BaseHTTPRequestHandler):
    """Answers each request with the next of ``server.answers`` and keeps what it was sent."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["Content-Type"], body.decode()))
        status, headers, answer = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def swx(monkeypatch):
    """The modules, imported afresh from where cells get them."""
    monkeypatch.syspath_prepend(str(STANDINS))
    for name in [name for name in sys.modules if name == "swx" or name.startswith("swx.")]:
        monkeypatch.delitem(sys.modules, name)
    import swx.auth.token
    import swx.errors

    yield swx
    for name in [name for name in sys.modules if name == "swx" or name.startswith("swx.")]:
        del sys.modules[name]


@pytest.fixture
def server(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        server.requests, server.answers = [], []
        server.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("SWX_API_URL", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def json_answer(status, body):
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


GRANTED = json_answer(
    200, {"access_token": "abc", "expires_in": 604799, "scope": "thing.update", "token_type": "bearer"}
)


def test_a_token_is_requested_by_client_credentials_and_revoked_at_the_end_of_the_block(server, swx):
    server.answers += [GRANTED, (200, {}, b"")]
    with swx.auth.token.get_token("me", "s3cret", ["thing.update", "thing.read"]) as token:
        assert (token.access_token, str(token), token.expires_in) == ("abc", "abc", 604799)
        assert (token.host, token.scope, token.token_type) == (server.url, "thing.update", "bearer")
        assert len(server.requests) == 1
    (path, kind, asked), (revoke_path, _, revoked) = server.requests
    assert (path, kind, revoke_path) == (
        "/oauth2/token",
        "application/x-www-form-urlencoded",
        "/oauth2/revoke",
    )
    assert parse_qs(asked) == {
        "grant_type": ["client_credentials"],
        "client_id": ["me"],
        "client_secret": ["s3cret"],
        "scope": ["thing.update thing.read"],
    }
    assert parse_qs(revoked) == {"token": ["abc"], "client_id": ["me"], "client_secret": ["s3cret"]}


def test_a_token_is_revoked_when_the_block_raises_and_the_exception_goes_on(server, swx):
    server.answers += [GRANTED, (200, {}, b"")]
    with pytest.raises(ZeroDivisionError):
        with swx.auth.token.get_token("me", "s3cret", []):
            raise ZeroDivisionError
    assert [path for path, _, _ in server.requests] == ["/oauth2/token", "/oauth2/revoke"]


def test_a_secret_with_signs_of_its_own_arrives_whole(server, swx):
    server.answers.append(GRANTED)
    secret = "a&b=c%20+d é"
    swx.auth.token.get_token("me", secret, ["x"])
    assert parse_qs(server.requests[0][2])["client_secret"] == [secret]


def test_a_refused_client_is_an_oauth2_error_that_says_why(server, swx):
    server.answers.append(
        json_answer(401, {"error": "invalid_client", "error_description": "unknown client"})
    )
    with pytest.raises(swx.errors.OAuth2Error, match="401: invalid_client: unknown client") as raised:
        swx.auth.token.get_token("me", "wrong", [])
    assert raised.value.status_code == 401
    assert raised.value.json()["error"]["message"] == "invalid_client: unknown client"
    assert isinstance(raised.value, swx.errors.APIException)


def test_an_error_in_the_apis_own_form_keeps_its_details(server, swx):
    server.answers.append(
        json_answer(403, {"error": {"status": 403, "message": "Unauthorized", "details": {"why": "scope"}}})
    )
    with pytest.raises(swx.errors.TokenRevokeError) as raised:
        swx.auth.token.revoke_token("abc", "me", "s3cret")
    assert (raised.value.message, raised.value.details) == ("Unauthorized", {"why": "scope"})


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[1]", b'{"error": 7}', b"[" * 100_000])
def test_an_error_in_any_other_form_is_still_an_error_of_its_status(server, swx, body):
    server.answers.append((500, {}, body))
    with pytest.raises(swx.errors.ResponseError) as raised:
        swx.auth.token.get_token("me", "s3cret", [])
    assert raised.value.status_code == 500


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"access_token": 7}', b'"text"', b"{" * 10], ids=lambda body: repr(body)
)
def test_an_answer_without_a_token_is_an_api_exception(server, swx, body):
    server.answers.append((200, {}, body))
    with pytest.raises(swx.errors.APIException, match="access_token"):
        swx.auth.token.get_token("me", "s3cret", [])


def test_a_redirect_does_not_carry_the_secret_to_another_place(server, swx):
    server.answers.append((307, {"Location": f"{server.url}/elsewhere"}, b""))
    with pytest.raises(swx.errors.OAuth2Error):
        swx.auth.token.get_token("me", "s3cret", [])
    assert len(server.requests) == 1


def test_an_endless_answer_is_cut(server, swx):
    server.answers.append((200, {}, b" " * (swx.auth.token.ANSWER_MAX_BYTES + 1)))
    with pytest.raises(swx.errors.APIException, match="more than"):
        swx.auth.token.get_token("me", "s3cret", [])


@pytest.mark.slow
def test_a_server_that_says_nothing_costs_no_more_than_the_timeout(swx, monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Answers) as silent:  # accepts, for the kernel does, and never serves
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(swx.auth.token, "TIMEOUT_S", 0.2)
        with pytest.raises(swx.errors.APIException, match="cannot reach"):
            swx.auth.token.get_token("me", "s3cret", [], host=f"http://127.0.0.1:{silent.server_port}")


def test_a_tokens_repr_shows_neither_token_nor_secret(server, swx):
    server.answers.append(GRANTED)
    shown = repr(swx.auth.token.get_token("me", "s3cret", []))
    assert "abc" not in shown and "s3cret" not in shown


@pytest.mark.slow
def test_importing_the_package_imports_no_requests():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import swx.auth.token; print('requests' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(STANDINS)], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip() == "False", done.stderr
