"""``max_request`` and ``max_response``: 413 without the function, 502 after it.

That each limit is exact is in ``tests/contract/call/test_answers.py``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.contract.limits.conftest import Deploy, Limited
from tests.support.bystander import Bystander
from tests.support.envelope import assert_envelope
from tests.support.raw_http import BEARER, DEADLINE_SECONDS, exchange, read_answer, target
from tests.support.server import Server

MIB = 1 << 20
DEFAULT_BYTES = 16 * MIB


@pytest.fixture
def one(limited: Callable[..., Limited]) -> Limited:
    return limited("bodies", max_request=1, max_response=1)


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with-length", "chunked"])
def test_a_request_that_is_too_large_never_reaches_the_function(
    server: Server, one: Limited, bystander: Bystander, is_chunked: bool
) -> None:
    before = one.state()
    large = b"found = 'ran'\n#" + b"x" * MIB
    how = {"chunks": [large[:300_000], large[300_000:]]} if is_chunked else {"body": large}
    assert_envelope(exchange(server, "POST", target(one.name), **how), 413, "max_request")  # type: ignore[arg-type]
    after = one.state()
    assert (after["instance"], after["calls"]) == (before["instance"], before["calls"] + 1)


def test_what_is_left_of_a_refused_body_is_never_read_as_a_request(
    server: Server, one: Limited, bystander: Bystander
) -> None:
    before = one.state()
    hidden = f"POST {target(one.name)} HTTP/1.1\r\nHost: x\r\n{BEARER[0]}: {BEARER[1]}\r\n"
    hidden += "Content-Length: 0\r\n\r\n"
    body = (hidden * (MIB // len(hidden) + 2)).encode()
    head = f"POST {target(one.name)} HTTP/1.1\r\nHost: x\r\n{BEARER[0]}: {BEARER[1]}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS) as connection:
        connection.sendall(head.encode())
        assert_envelope(read_answer(connection, "POST"), 413, "max_request")
        try:
            connection.sendall(body)
            rest = connection.recv(1 << 16)
        except (BrokenPipeError, ConnectionResetError):
            rest = b""
        assert rest == b""
    assert one.state()["calls"] == before["calls"] + 1


def test_an_answer_that_is_too_large_is_the_callers_502_and_its_function_goes_on(
    one: Limited, bystander: Bystander
) -> None:
    before = one.state()
    error = assert_envelope(one.send(f"answer = {{'body': b'x' * {MIB + 1}}}"), 502, "max_response")
    assert error["details"]["reason"] == "contract"
    after = one.state("found = os.stat('/tmp').st_size >= 0")
    assert (after["instance"], after["calls"], after["found"]) == (
        before["instance"], before["calls"] + 2, True,
    )  # fmt: skip


def test_an_answer_is_measured_as_it_travels_whatever_its_function_returned(
    one: Limited, bystander: Bystander
) -> None:
    # Text as UTF-8, a dict as JSON: each is within the limit by another measure.
    for body in (f"'é' * {MIB // 2 + 1}", f"{{'k': 'x' * {MIB - 1}}}"):
        assert_envelope(one.send(f"answer = {{'body': {body}}}"), 502, "max_response")
    for body in (f"'é' * {MIB // 2}", f"{{'k': 'x' * {MIB - 20}}}"):
        assert one.send(f"answer = {{'body': {body}}}").status_code == 200


def test_without_the_options_a_body_of_16_mebibytes_passes_and_one_byte_more_does_not(
    server: Server, deploy: Deploy, bystander: Bystander
) -> None:
    source = (
        "def handle(req):\n"
        "    if req.query: return {'body': b'x' * int(req.query['size'])}\n"
        "    return {'body': str(len(req.body))}\n"
    )
    name = deploy("bodies-default", source)
    assert server.call(name, content=bytes(DEFAULT_BYTES)).text == str(DEFAULT_BYTES)
    assert_envelope(server.call(name, content=bytes(DEFAULT_BYTES + 1)), 413, str(DEFAULT_BYTES))
    assert len(server.call(name, f"?size={DEFAULT_BYTES}").content) == DEFAULT_BYTES
    assert_envelope(server.call(name, f"?size={DEFAULT_BYTES + 1}"), 502, str(DEFAULT_BYTES))


@pytest.mark.parametrize(
    ("name", "has_token", "status"), [("bodies", True, 413), ("absent", True, 404), ("bodies", False, 401)]
)
def test_an_answer_before_the_body_was_read_says_that_its_connection_ends(
    server: Server, one: Limited, name: str, has_token: bool, status: int
) -> None:
    body = bytes(MIB + 1)
    answer = exchange(server, "POST", target(f"limited-{name}"), body=body, token=has_token)
    assert_envelope(answer, status)
    assert answer.all("connection") == ["close"]
