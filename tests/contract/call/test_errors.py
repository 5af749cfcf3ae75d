"""Every refusal and failure a caller can see, status by status (docs/troubleshooting.md)."""

from __future__ import annotations

import httpx
import pytest

from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.packing import zipped
from tests.support.raw_http import exchange, send, target
from tests.support.server import Server

RAISES = """\
import helper, json


class Own(Exception):
    pass


def handle(req):
    if req.body == b"zero":
        return {"body": 1 / 0}
    if req.body == b"library":
        return json.loads("{not json")
    if req.body == b"module":
        return helper.deep(3)
    if req.body == b"own":
        raise Own("first\\nsecond \\x1b[31m é")
    if req.body == b"chained":
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise Own("after") from error
    if req.body == b"exec":
        exec("x = 1\\nraise KeyError('k')")
    if req.body == b"syntax":
        compile("a = (", "template.py", "exec")
    if req.body == b"str":
        raise type("Bad", (Exception,), {"__str__": lambda self: 1 / 0})()
    if req.body == b"long":
        raise Own("x" * 100_000)
    if req.body == b"surrogate":
        raise Own("lone \\udc80")
    if req.body == b"deep":
        return handle(req)
    if req.body == b"lying":
        raise SyntaxError("lies", ("f", "seven", 1, 3))
    return {"body": "fine"}
"""
HELPER = """\
def deep(depth):
    if depth:
        return deep(depth - 1)
    return [][0]
"""


@pytest.fixture(scope="module")
def raises(deploy: Deploy) -> str:
    return deploy("raises", zipped(("handler.py", RAISES.encode()), ("helper.py", HELPER.encode())))


@pytest.fixture(scope="module")
def open_raises(deploy: Deploy) -> str:
    return deploy("raises-public", "def handle(req):\n    return {'body': {}['secret key']}\n", public=True)


@pytest.fixture(scope="module")
def hello(deploy: Deploy) -> str:
    return deploy("errors-hello", "def handle(req):\n    return {'body': 'hello'}\n")


# ---- 500 ------------------------------------------------------------------------------------


@pytest.mark.promise("S10")
@pytest.mark.parametrize(
    ("what", "kind", "info", "line", "code"),
    [
        ("zero", "ZeroDivisionError", "division by zero", 10, 'return {"body": 1 / 0}'),
        ("module", "IndexError", "list index out of range", 4, "return [][0]"),
        ("own", "Own", "first\nsecond \x1b[31m é", 16, 'raise Own("first\\nsecond \\x1b[31m é")'),
        ("chained", "Own", "after", 21, 'raise Own("after") from error'),
        ("exec", "KeyError", "'k'", 23, "exec(\"x = 1\\nraise KeyError('k')\")"),
        ("str", "Bad", "<Bad whose str raises ZeroDivisionError>", 27, None),
        ("surrogate", "Own", "lone ?", 31, 'raise Own("lone \\udc80")'),
        ("syntax", "SyntaxError", "'(' was never closed (template.py)", 1, "a = ("),
    ],
)
def test_an_exception_is_a_500_with_its_type_text_line_and_code(
    server: Server, raises: str, what: str, kind: str, info: str, line: int, code: str | None
) -> None:
    error = assert_envelope(server.call(raises, content=what), 500, is_invoked=True)
    of = " of helper.py" if what == "module" else ""  # a file beside handler.py is named
    assert error["message"] == f"{kind} at line {line}{of}: {info}"
    details = error["details"]
    assert set(details) == {
        "exception_type", "exception_info", "exception_line_number", "exception_line_code",
    }  # fmt: skip
    assert (details["exception_type"], details["exception_info"]) == (kind, info)
    assert details["exception_line_number"] == line
    assert code is None or details["exception_line_code"] == code


def test_an_exception_inside_a_library_names_the_authors_own_line(server: Server, raises: str) -> None:
    details = assert_envelope(server.call(raises, content="library"), 500, is_invoked=True)["details"]
    assert details["exception_type"] == "JSONDecodeError"
    assert (details["exception_line_number"], details["exception_line_code"]) == (
        12,
        'return json.loads("{not json")',
    )


def test_a_long_exception_is_cut_and_a_deep_one_still_told(server: Server, raises: str) -> None:
    details = assert_envelope(server.call(raises, content="long"), 500, is_invoked=True)["details"]
    assert 1000 < len(details["exception_info"]) < 10_000
    error = assert_envelope(server.call(raises, content="deep"), 500, is_invoked=True)
    assert error["details"]["exception_type"] == "RecursionError"


def test_an_exception_that_lies_about_its_line_is_a_500_all_the_same(server: Server, raises: str) -> None:
    error = assert_envelope(server.call(raises, content="lying"), 500, "lies", is_invoked=True)
    assert isinstance(error["details"]["exception_line_number"], int)


@pytest.mark.promise("S11")
def test_an_exception_leaves_the_instance_fit_for_the_next_call(server: Server, raises: str) -> None:
    server.call(raises, content="zero")
    assert server.call(raises).text == "fine"


@pytest.mark.promise("T27")
def test_an_anonymous_caller_of_a_public_function_gets_the_status_and_the_call_id_only(
    server: Server, open_raises: str, anyone: httpx.Client
) -> None:
    answer = anyone.post(target(open_raises), headers={"X-Call-Id": "anon-1"})
    error = assert_envelope(answer, 500, is_invoked=True)
    assert error["details"] == {"call_id": "anon-1"}
    assert answer.headers["x-call-id"] == "anon-1"
    for hidden in ("KeyError", "secret key", "line", "return"):
        assert hidden not in answer.text
    known = assert_envelope(server.call(open_raises), 500, "KeyError", is_invoked=True)
    assert known["details"]["exception_line_number"] == 2


def test_an_anonymous_caller_is_not_told_what_broke_the_contract(
    server: Server, deploy: Deploy, anyone: httpx.Client
) -> None:
    name = deploy(
        "breaks-public", "def handle(req):\n    return {'status_code': 'secret key'}\n", public=True
    )
    answer = anyone.post(target(name))
    assert_envelope(answer, 502, "contract")
    assert "secret key" not in answer.text
    assert_envelope(server.call(name), 502, "secret key")


# ---- 502 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "says", "signal", "code"),
    [
        ("os._exit(3)", "exited with code 3; return an answer or raise", 0, 3),
        ("os.kill(os.getpid(), 9)", "SIGKILL", 9, 0),
        # Of these the interpreter says where the code stood.
        ("os.abort()", "SIGABRT at handler.py:3 in handle", 6, 0),
        ("__import__('ctypes').string_at(0)", "SIGSEGV at handler.py:3 in handle", 11, 0),
    ],
)
def test_a_function_that_takes_its_process_down_is_a_502_that_says_how(
    server: Server, deploy: Deploy, statement: str, says: str, signal: int, code: int
) -> None:
    name = deploy("dies", f"import os\ndef handle(req):\n    {statement}\n")
    error = assert_envelope(server.call(name), 502, says)
    assert (error["details"]["signal"], error["details"]["exit_code"]) == (signal, code)


# ---- who and where --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "credential",
    [None, "Bearer wrong", "Bearer", "Bearer ", "Basic YTpi", "bearer\ttoken", "x" * 5000],
)
def test_a_caller_without_a_credential_of_the_server_gets_401(
    server: Server, hello: str, credential: str | None
) -> None:
    headers = [] if credential is None else [("Authorization", credential)]
    for name in (hello, "no-such-function"):  # and is not told which functions there are
        answer = exchange(server, "POST", target(name), headers, token=False)
        assert_envelope(answer, 401, "Authorization: Bearer")
        assert answer.one("www-authenticate").startswith("Bearer")


def test_an_unknown_function_or_space_is_404(server: Server, hello: str) -> None:
    for path in (target("no-such-function"), f"/spaces/other/functions/{hello}/invoke",
                 target("No_Such"), target("%2e%2e"), target("a" * 200)):  # fmt: skip
        assert_envelope(exchange(server, "POST", path), 404, "function not found")


@pytest.mark.promise("S4")
@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE", "CONNECT", "PROPFIND"])
def test_a_method_that_never_reaches_a_function_is_405_with_allow(
    server: Server, hello: str, method: str
) -> None:
    answer = exchange(server, method, target(hello))
    assert answer.one("allow") == "DELETE, GET, PATCH, POST, PUT"
    if method == "HEAD":
        assert (answer.status, answer.body) == (405, b"")
    else:
        assert_envelope(answer, 405, method, "use one of")


def test_the_answer_to_head_is_followed_by_the_next_answer_and_nothing_else(
    server: Server, hello: str
) -> None:
    with httpx.Client(base_url=server.url, headers=server.client.headers) as client:  # one connection
        assert client.head(target(hello)).status_code == 405
        assert client.head("/healthz").status_code == 200
        assert client.post(target(hello)).text == "hello"
    assert "no-body response" not in server.log


@pytest.mark.parametrize(
    "timeout", ["", "0", "0s", "-1", "1e3", "soon", "1.5x", "nan", "inf", "1,5", "s", "1 s", "9" * 200, "1s2"]
)
def test_a_timeout_that_is_no_time_is_422_and_names_the_header(
    server: Server, hello: str, timeout: str
) -> None:
    error = assert_envelope(
        exchange(server, "POST", target(hello), [("X-Timeout", timeout)]), 422, "X-Timeout"
    )
    assert error["details"] == {"header": "X-Timeout"}


# ---- what is no HTTP, or too much of it -----------------------------------------------------


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("POST {path} HTTP/1.1", ["Host: x", "Content-Length: x"]),
        ("POST {path} HTTP/1.1", ["Host: x", "Content-Length: -1"]),
        ("POST {path} HTTP/1.1", ["Host: x", "Content-Length: 3", "Content-Length: 4"]),
        ("POST {path} HTTP/1.1", ["Host: x", "Content-Length: 3", "Transfer-Encoding: chunked"]),
        ("POST {path} HTTP/1.1", ["Host: x", "Transfer-Encoding: chunked, gzip"]),
        ("POST {path} HTTP/1.1", ["Host: x", "X-A: a\x01b"]),
        ("POST {path} HTTP/1.1", ["Host: x", "X A: 1"]),
        ("POST {path} HTTP/1.1", ["Host: x", "no colon"]),
        ("POST {path} HTTP/9.9", ["Host: x"]),
        ("POST nowhere HTTP/1.1", ["Host: x"]),
        ("POST {path}", ["Host: x"]),
        ("\x16\x03\x01\x02", []),
    ],
)
def test_what_is_no_http_is_400_in_the_envelope(
    server: Server, hello: str, line: str, headers: list[str]
) -> None:
    data = "\r\n".join([line.format(path=target(hello)), *headers, "", ""]).encode("latin-1")
    before = len(server.log)
    assert_envelope(send(server, data), 400, "not HTTP")
    assert "Traceback" not in server.log[before:]


def test_a_request_line_too_long_is_414_and_too_many_headers_431(server: Server, hello: str) -> None:
    assert_envelope(exchange(server, "GET", target(hello, "/" + "a" * 9000)), 414, "use the body")
    assert_envelope(exchange(server, "GET", target(hello), [("X-A", "v" * 33_000)]), 431, "send fewer")
    many = [(f"X-{number}", "v") for number in range(257)]
    assert_envelope(exchange(server, "GET", target(hello), many), 431, "send fewer")
    large = [(f"X-{number}", "v" * 8000) for number in range(5)]
    assert_envelope(exchange(server, "GET", target(hello), large), 431, "send fewer")


@pytest.mark.promise("S14")
def test_nothing_that_callers_did_here_left_a_traceback_of_ours_in_the_log(server: Server) -> None:
    """Last in this file on purpose: it looks back at everything above."""
    for line in server.log.splitlines():
        assert "Traceback" not in line or "cellblock.function" in line, line
    assert "our own mistake" not in server.log
