"""Access tokens, as RFC 6749 and RFC 7009 say; the examples are theirs."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest

from supervisor.front.invoke.callers import credential
from supervisor.front.invoke.callers.wrong_tokens import BURST
from supervisor.store.credentials.credential_records import App, Grant
from tests.support.api import Front, refused

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SCOPES = ("function.invoke", "log.read")


@pytest.fixture
def client(api: Front) -> tuple[App, str]:
    return api.store.credentials.create_app("demo", "ci", Grant(SCOPES))


def basic(client_id: str, secret: str) -> str:
    """RFC 6749, 2.3.1: both are form-encoded first."""
    return "Basic " + base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def post(api: Front, path: str, content: str | bytes, **headers: str) -> httpx.Response:
    """A request without any credential but those of ``headers`` and the body."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://front") as http:
            return await http.post(path, content=content, headers={**FORM, **headers})

    return api._runner.run(send())


def token(
    api: Front, client: tuple[App, str], content: str = "grant_type=client_credentials", **headers: Any
):
    headers.setdefault("Authorization", basic(client[0].client_id, client[1]))
    return post(api, "/oauth2/token", content, **headers)


def error_of(response: httpx.Response, status: int, error: str) -> None:
    """RFC 6749, 5.2."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store" and response.headers["pragma"] == "no-cache"
    said = response.json()
    assert set(said) == {"error", "error_description"} and said["error"] == error
    allowed = {*range(0x20, 0x22), *range(0x23, 0x5C), *range(0x5D, 0x7F)}
    assert set(said["error_description"].encode()) <= allowed, "no quotes and no backslash"
    assert ("www-authenticate" in response.headers) is (status == 401)
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.promise("S195")
def test_the_example_of_section_4_4_2_gets_the_answer_of_4_4_3(api, client):
    response = token(api, client)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store" and response.headers["pragma"] == "no-cache"
    said = response.json()
    assert set(said) == {"access_token", "token_type", "expires_in", "scope"}, "4.4.3: no refresh token"
    assert (said["token_type"], said["expires_in"]) == ("bearer", 3600)
    assert said["scope"].split(" ") == list(SCOPES)
    me = api("GET", "/whoami", headers={"Authorization": f"Bearer {said['access_token']}"}).json()
    assert (me["name"], me["space"]) == (f"app:{client[0].client_id}", "demo")


def test_the_credentials_may_come_in_the_body_as_the_example_of_2_3_1_has_them(api, client):
    app, secret = client
    body = f"grant_type=client_credentials&client_id={app.client_id}&client_secret={secret}"
    assert post(api, "/oauth2/token", body).status_code == 200
    assert post(
        api, "/oauth2/token", body, **{"Content-Type": FORM["Content-Type"] + ";charset=UTF-8"}
    ).is_success
    assert token(api, client, f"grant_type=client_credentials&client_id={app.client_id}").is_success, (
        "the same id"
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("grant_type=client_credentials&scope=log.read&scope=log.read", "invalid_request"),
        ("grant_type=client_credentials&client_secret=x", "invalid_request"),
        ("grant_type=client_credentials&client_id=another", "invalid_request"),
        ("grant_type=client_credentials&x=%FF", "invalid_request"),
        ("grant_type=client_credentials&x=" + "a" * 9000, "invalid_request"),
        ("&".join(f"a{n}=1" for n in range(50)), "invalid_request"),
        ("grant_type=password&username=johndoe&password=A3ddj3w", "unsupported_grant_type"),
        ("grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA", "unsupported_grant_type"),
        ("grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA", "unsupported_grant_type"),
        ("grant_type=Client_Credentials", "unsupported_grant_type"),
        ("grant_type=client_credentials&scope=function.delete", "invalid_scope"),
        ("grant_type=client_credentials&scope=function", "invalid_scope"),
        ("grant_type=client_credentials&scope=log.read++function.invoke", "invalid_scope"),
        ("grant_type=client_credentials&scope=%22", "invalid_scope"),
    ],
)
def test_a_bad_request_of_a_client_is_a_400_with_the_word_of_5_2(api, client, content, error):
    error_of(token(api, client, content), 400, error)


def test_parameters_that_are_unknown_or_empty_count_as_left_out(api, client):
    """RFC 6749, 3.2."""
    said = token(api, client, "grant_type=client_credentials&scope=&client_secret=&colour=red")
    assert said.status_code == 200 and said.json()["scope"].split(" ") == list(SCOPES)


def test_a_token_may_have_less_than_its_app(api, client):
    said = token(api, client, "grant_type=client_credentials&scope=log.read").json()
    assert said["scope"] == "log.read"
    holder = {"Authorization": f"Bearer {said['access_token']}"}
    assert api("GET", "/whoami", headers=holder).json()["scopes"] == ["log.read"]


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""]
)
def test_another_encoding_is_an_invalid_request(api, client, content_type):
    error_of(token(api, client, **{"Content-Type": content_type}), 400, "invalid_request")


def test_credentials_in_the_address_are_refused(api, client):
    """RFC 6749, 2.3.1: they must not be there, where logs would keep them."""
    app, secret = client
    path = f"/oauth2/token?client_id={app.client_id}&client_secret={secret}"
    error_of(post(api, path, "grant_type=client_credentials"), 400, "invalid_request")


@pytest.mark.parametrize(
    "header",
    [
        None, "Basic", "Basic !!", "Basic Zm9v", "Bearer x", "Digest x", basic("0" * 26, "x"),
        basic("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw"), "Basic /w==", basic("", ""), basic("\0", "\0"),
    ],
)  # fmt: skip
def test_who_is_no_client_gets_a_401_with_a_challenge(api, client, header):
    headers = {} if header is None else {"Authorization": header}
    error_of(post(api, "/oauth2/token", "grant_type=client_credentials", **headers), 401, "invalid_client")
    error_of(post(api, "/oauth2/revoke", "token=x", **headers), 401, "invalid_client")


def test_an_unknown_app_and_a_wrong_secret_get_the_same_answer(api, client):
    wrong = token(api, client, Authorization=basic(client[0].client_id, client[1][:-1]))
    unknown = token(api, client, Authorization=basic("0" * 26, client[1]))
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    assert dict(wrong.headers) == dict(unknown.headers)


def test_two_authorization_headers_are_refused(api, client):
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://front") as http:
            one = ("Authorization", basic(client[0].client_id, client[1]))
            headers = [*FORM.items(), one, one]
            return await http.post("/oauth2/token", content="grant_type=client_credentials", headers=headers)

    error_of(api._runner.run(send()), 400, "invalid_request")


@pytest.mark.promise("S202")
def test_the_example_of_rfc_7009_takes_a_token_back(api, client):
    one = token(api, client).json()["access_token"]
    other = token(api, client).json()["access_token"]
    holder = {"Authorization": f"Bearer {one}"}
    assert api("GET", "/whoami", headers=holder).status_code == 200
    authorization = basic(client[0].client_id, client[1])
    body = f"token={one}&token_type_hint=access_token"
    for _ in range(2):  # 2.2: a token that is none any more is a 200, too
        response = post(api, "/oauth2/revoke", body, Authorization=authorization)
        assert (response.status_code, response.content) == (200, b"")
    refused(api("GET", "/whoami", headers=holder), 401)
    assert api("GET", "/whoami", headers={"Authorization": f"Bearer {other}"}).status_code == 200
    assert api.control.told == [("credentials", "demo")]


@pytest.mark.parametrize("hint", ["refresh_token", "nonsense", ""])
def test_a_hint_does_nothing(api, client, hint):
    """RFC 7009, 2.2: an invalid one is ignored."""
    one = token(api, client).json()["access_token"]
    authorization = basic(client[0].client_id, client[1])
    answer = post(api, "/oauth2/revoke", f"token={one}&token_type_hint={hint}", Authorization=authorization)
    assert answer.status_code == 200
    refused(api("GET", "/whoami", headers={"Authorization": f"Bearer {one}"}), 401)


def test_a_revocation_says_what_is_wrong_with_it(api, client):
    authorization = basic(client[0].client_id, client[1])

    def revoke(content: str) -> httpx.Response:
        return post(api, "/oauth2/revoke", content, Authorization=authorization)

    error_of(revoke(""), 400, "invalid_request")
    error_of(revoke("token=a&token=b"), 400, "invalid_request")
    error_of(revoke(f"token={client[1]}"), 400, "unsupported_token_type")
    assert revoke("token=45ghiukldjahdnhzdauz").status_code == 200, "is nobody's token"


def test_an_app_cannot_take_back_another_apps_token(api, client):
    """RFC 7009, 2.1: the request is refused, and the client is told."""
    one = token(api, client).json()["access_token"]
    other, secret = api.store.credentials.create_app("default", "ci", Grant(SCOPES))
    answer = post(api, "/oauth2/revoke", f"token={one}", Authorization=basic(other.client_id, secret))
    error_of(answer, 400, "invalid_grant")
    assert api("GET", "/whoami", headers={"Authorization": f"Bearer {one}"}).status_code == 200


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/revoke"])
def test_only_post_is_taken(api, path):
    response = api("GET", path)
    refused(response, 405, "use ")
    assert response.headers["allow"] == "POST"


@pytest.mark.promise("T94")
def test_guessing_an_apps_secret_is_slowed_and_its_holder_is_not_locked_out(api, client, monkeypatch):
    monkeypatch.setattr(credential, "SLOWED_S", 0.0)
    wrong = basic(client[0].client_id, "wrong")
    for _ in range(BURST):
        error_of(token(api, client, Authorization=wrong), 401, "invalid_client")
    response = token(api, client, Authorization=wrong)
    refused(response, 429)
    assert int(response.headers["retry-after"]) >= 1
    assert token(api, client).status_code == 200


def test_many_tokens_at_once_are_all_good(api, client):
    async def one() -> int:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://front") as http:
            headers = {**FORM, "Authorization": basic(client[0].client_id, client[1])}
            answer = await http.post(
                "/oauth2/token", content="grant_type=client_credentials", headers=headers
            )
            return answer.status_code

    async def scenario() -> list[int]:
        return list(await asyncio.gather(*(one() for _ in range(8))))

    assert api._runner.run(scenario()) == [200] * 8
