"""What a request's head may be, and how its bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import PlatformError
from supervisor.front.http import request_head
from supervisor.front.http.message import CUTS_MOST, END, Message, piece_end, tail_of


def status_of(url: bytes, method: bytes = b"GET") -> int:
    """200 for a target that may be."""
    try:
        request_head.target_of(url, method)
    except PlatformError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (b"/", (b"/", b"", None)),
        (b"/a?b?c", (b"/a", b"b?c", None)),
        (b"//a", (b"//a", b"", None)),
        (b"http://h", (b"/", b"", b"h")),
        (b"HTTP://h:80/a?b", (b"/a", b"b", b"h:80")),
        (b"https://[::1]?b", (b"/", b"b", b"[::1]")),
    ],
)
def test_a_target_is_a_path_or_a_url(url: bytes, target: tuple[bytes, bytes, bytes | None]) -> None:
    assert request_head.target_of(url, b"GET") == target


@pytest.mark.parametrize(
    ("url", "method", "status"),
    [
        (b"*", b"OPTIONS", 200),
        (b"*", b"GET", 400),
        (b"/a#b", b"GET", 400),
        (b"a/b", b"GET", 400),
        (b"http://", b"GET", 400),
        (b"http:///a", b"GET", 400),
        (b"http://user@h/", b"GET", 400),
        (b"ftp://h/", b"GET", 400),
        (b"h:80", b"CONNECT", 501),
    ],
)
def test_any_other_target_is_refused(url: bytes, method: bytes, status: int) -> None:
    assert status_of(url, method) == status


@pytest.mark.parametrize("host", [b"h", b"h:80", b"1.2.3.4:0", b"[::1]:80", b"a-b.c_d", b""])
def test_a_host_may_be_a_name_or_an_address(host: bytes) -> None:
    request_head.check_host(host, True)


@pytest.mark.parametrize("host", [b"a b", b"a/b", b"a@b", b"a:b", b"a:80:90", b"[::1", b"h,h", b"\xe9"])
def test_what_is_no_host_is_refused(host: bytes) -> None:
    with pytest.raises(PlatformError):
        request_head.check_host(host, True)


def test_text_in_the_first_line_is_read_as_if_it_had_been_encoded_and_nothing_else_is_touched() -> None:
    data = "GET /é HTTP/1.1\r\nX: é\r\n\r\n".encode()
    assert request_head.escaped(data) == b"GET /%C3%A9 HTTP/1.1\r\nX: \xc3\xa9\r\n\r\n"
    assert request_head.escaped(b"GET / HTTP/1.1\r\n") == b"GET / HTTP/1.1\r\n"


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", END, b"a", b"0"]), max_size=40), st.integers(1, 7))
def test_a_piece_ends_behind_every_empty_line_wherever_the_reads_end(parts: list[bytes], size: int) -> None:
    data, cuts, tail, at = bytearray(b"".join(parts)), [], b"", 0
    while at < len(data):
        have = min(len(data), (at // size + 1) * size)  # what the reads have brought so far
        end = piece_end(data, at, have, tail)
        assert at < end <= have
        with memoryview(data) as view:
            tail, at = tail_of(tail, view[at:end]), end
        cuts.append(end)
    wanted = {index + len(END) for index in range(len(data)) if data[index : index + len(END)] == END}
    assert wanted <= set(cuts)


def fed(data: bytes, size: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """The path and body of each request of ``data``, that comes ``size`` bytes at once; and a refusal."""
    found, body = [], bytearray()
    message = Message(body.extend)
    inbox, path = bytearray(), b""
    for start in range(0, len(data), size):
        inbox += data[start : start + size]
        while inbox:
            end = message.end_of_piece(inbox, 0, len(inbox), 0)
            try:
                message.feed(memoryview(bytes(inbox[:end])))
                if message.has_head and message.framing is None:
                    path = message.target().path
            except PlatformError as error:
                return found, error.status
            del inbox[:end]
            if message.is_whole:
                found.append((path, bytes(body)))
                body.clear()
                message.begin()
    return found, 0


HEAD = b"POST /%d HTTP/1.1\r\nHost: x\r\n"
WHOLE = (
    HEAD % 1 + b"Content-Length: 9\r\n\r\n\r\n\r\n0\r\n\r\n"
    + HEAD % 2 + b"Transfer-Encoding: chunked\r\n\r\n4;a=b\r\n\r\n\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"
    + b"\r\n" + HEAD % 3 + b"\r\n"
    + HEAD % 4 + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    + HEAD % 5 + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 64, 1000])
def test_requests_are_told_apart_however_they_arrive(size: int) -> None:
    found, status = fed(WHOLE, size)
    assert status == 0
    bodies = [b"\r\n\r\n0\r\n\r\n", b"\r\n\r\nhello", b"", b"abc", b""]
    assert found == [(b"/%d" % number, body) for number, body in enumerate(bodies, 1)]


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3), st.integers(1, 100))
def test_a_changed_byte_gives_requests_or_one_refusal_however_they_arrive(
    at: int, put: bytes, size: int
) -> None:
    data = WHOLE[:at] + put + WHOLE[at + 1 :]
    assert fed(data, size) == fed(data, 1)


def test_a_body_full_of_empty_lines_is_not_cut_at_all_of_them_and_what_comes_too_early_is_not_used() -> None:
    body = END * 1000
    head_of = HEAD % 1 + b"Transfer-Encoding: chunked\r\n\r\n"
    data = bytearray(head_of + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) + HEAD % 2 + b"\r\n")
    got = bytearray()
    message = Message(got.extend)
    at = cuts = 0
    while not message.is_whole:
        end = message.end_of_piece(data, at, len(data), cuts)
        message.feed(memoryview(bytes(data[at:end])))
        if message.has_head and message.framing is None:
            message.target()
        at, cuts = end, cuts + 1
    assert bytes(got) == body and cuts <= CUTS_MOST + 1
    assert at == len(data) and not message.keeps_alive
    assert (message.method, dict(message.headers)[b"host"]) == ("POST", b"x")


def test_empty_lines_before_a_request_are_one_piece() -> None:
    message = Message(lambda _: None)
    data = bytearray(b"\r\n" * 1000 + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert message.end_of_piece(data, 0, len(data), 0) == 2000
