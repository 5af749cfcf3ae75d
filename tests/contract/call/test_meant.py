"""Answers that were hardly meant: what is sent, and the one warning that says what to write instead."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from supervisor.logs import Query, Record, read
from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.insides import insides_in
from tests.support.packing import zipped
from tests.support.server import SPACE, Server

TEXT = "text/plain; charset=utf-8"

MEANT = """
import dataclasses, decimal, enum, http.cookies, io, tempfile
import numpy


@dataclasses.dataclass
class Item:
    sku: int = 1


class Plain:
    pass


class Colour(str, enum.Enum):
    RED = "red"


async def fetch():
    return 1


def written():
    file = io.BytesIO()
    file.write(b"all of it")
    return file


def pieces():
    yield "a"


async def later():
    yield "a"


def open_file(kind):
    file = tempfile.TemporaryFile(kind)
    file.write("text" if "b" not in kind else b"bytes")
    file.seek(0)
    return file


class Delayed:
    async def read(self, most):
        return b""


def handle(req):
    result = eval(req.body)
    return result
"""

Meant = Callable[[str], tuple[httpx.Response, list[Record]]]


def records_of(server: Server, name: str, call_id: str) -> list[Record]:
    """What a call wrote, once its report is there."""
    found: list[Record] = []

    def is_there() -> bool:
        query = Query(call_id=call_id, limit=100, reports=True)
        found[:] = read(server.data_dir / "front/logs", SPACE, name, query).records
        return any(record.text.startswith("report outcome=") for record in found)

    eventually(is_there)
    return [record for record in found if record.stream != "platform"]


@pytest.fixture(scope="module")
def meant(server: Server, deploy: Deploy) -> Meant:
    """The answer of a handler that returns that expression, and what its call wrote; a new instance each."""
    name = deploy("meant", MEANT, fresh=True)
    count = 0

    def ask(expression: str) -> tuple[httpx.Response, list[Record]]:
        nonlocal count
        count += 1
        answer = server.call(name, content=expression, headers={"X-Call-Id": f"meant-{count}"})
        records = records_of(server, name, f"meant-{count}")
        for record in records:
            assert not insides_in(record.text), record
        return answer, records

    return ask


@pytest.mark.promise("S144")
@pytest.mark.parametrize(
    ("result", "sent", "content_type", "says"),
    [
        ("{'body': numpy.arange(2)}", b"[0 1]", TEXT, "write body.tolist() and the header"),
        ("{'message': 'hi'}", b"", None, "none of status_code, headers and body: an empty answer was sent"),
        ("{'message': 'hi'}", b"", None, 'return {"body": {...}}'),
        ("{'Body': 1}", b"", None, "instead of 'Body' write 'body'"),
        ("{'status': 404, 'body': 'x'}", b"x", TEXT, "instead of 'status' write 'status_code'"),
        ("{'statusCode': 200, 'isBase64Encoded': True}", b"", None, "the bytes themselves as 'body'"),
        ("{'body': [1, 'a']}", b"[1, 'a']", TEXT, "for JSON add the header Content-Type: application/json"),
        ("{'body': True}", b"True", TEXT, "type bool and was sent as the text that Python prints of it"),
        ("{'body': {1}}", b"{1}", TEXT, "write list(body) and the header Content-Type: application/json"),
        ("{'body': Item()}", b"Item(sku=1)", TEXT, "body is of type Item"),
        ("{'body': Plain()}", None, TEXT, "<handler.Plain object at 0x"),
        ("{'body': map(str, [1])}", None, TEXT, "write list(body)"),
        ("{'body': fetch()}", None, TEXT, "it was never awaited: write await before it"),
        ("{'body': written()}", b"", "application/octet-stream", "write body.seek(0) before"),
    ],
)
def test_an_answer_that_was_hardly_meant_is_sent_and_one_warning_says_what_to_write(
    meant: Meant, result: str, sent: bytes | None, content_type: str | None, says: str
) -> None:
    answer, records = meant(result)
    assert answer.status_code == 200
    assert sent is None or answer.content == sent
    assert answer.headers.get("content-type") == content_type
    (record,) = records
    assert (record.level, record.stream) == ("warning", "stderr")
    assert says in record.text
    assert record.text.endswith("(returned at handler.py:51)")


@pytest.mark.parametrize(
    "result",
    ["None", "{}", "{'body': 'x'}", "{'body': b'x'}", "{'body': 6.5}", "{'body': 7}", "{'status_code': 204}",
     "{'statusCode': 200, 'body': {}}", "{'body': decimal.Decimal('1.5')}", "{'body': Colour.RED}",
     "{'body': [1], 'headers': {'Content-Type': 'application/json'}}", "{'body': io.BytesIO(b'x')}",
     "{'body': {'a': numpy.float64(1)}}", "{'body': numpy.int64(3)}"],
)  # fmt: skip
def test_an_ordinary_answer_is_not_doubted(meant: Meant, result: str) -> None:
    answer, records = meant(result)
    assert answer.status_code in (200, 204)
    assert records == []


def test_a_doubt_is_told_once_an_instance(server: Server, deploy: Deploy) -> None:
    name = deploy("meant-once", "def handle(req):\n    return {'message': 'hi'}\n", max_instances=1)
    told = []
    for number in range(3):
        server.call(name, headers={"X-Call-Id": f"once-{number}"})
        told.append([record.level for record in records_of(server, name, f"once-{number}")])
    assert told == [["warning"], [], []]


@pytest.mark.parametrize(
    ("file", "content", "content_type"),
    [
        ("io.BytesIO(b'a\\x00b')", b"a\0b", "application/octet-stream"),
        ("io.StringIO('é')", "é".encode(), TEXT),
        ("open_file('w+b')", b"bytes", "application/octet-stream"),
        ("open_file('w+')", b"text", TEXT),
    ],
)
def test_an_open_file_is_read_and_sent(meant: Meant, file: str, content: bytes, content_type: str) -> None:
    answer, records = meant(f"{{'body': {file}}}")
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == content_type
    assert records == []


@pytest.mark.promise("S145")
@pytest.mark.parametrize(
    ("result", "says"),
    [
        ("{'body': pieces()}", "body is of type generator, and this server does not send an answer piece by"),
        ("{'body': later()}", "body is of type async_generator"),
        ("{'body': Delayed()}", "body is Delayed, whose read() gives coroutine, not bytes or text"),
        (
            "pieces()",
            "handle returned generator, not a dict with status_code, headers and body; there is a yield",
        ),
        ("('x', 200)", "for what Flask takes as a tuple"),
        ("'x'", 'write {"body": ...}'),
        ("{'status_code': '200'}", "status_code is '200' (str), not an int from 200 to 599; write 200"),
        ("{'headers': {'X': None}}", "header X has a value of type NoneType, not text; leave it out"),
        ("{'headers': {'Set-Cookie': ['a', 'b']}}", 'write headers as a list of pairs: [("Set-Cookie"'),
        ("{'headers': [('X-%d' % n, '') for n in range(300)]}", "headers has 300 entries"),
        (
            "{'body': {'a': [decimal.Decimal(1)]}}",
            "body['a'][0] is of type Decimal, which JSON cannot carry; ",
        ),
        ("{'body': {'a': Item()}}", "write dataclasses.asdict(value)"),
        ("{'body': {'a': 10 ** 5000}}", "body['a'] is an int of more than 4300 digits"),
        ("{'headers': {'Set-Cookie': http.cookies.SimpleCookie('a=1')}}", "one.OutputString()) for one in"),
        (
            "{'body': {'a': numpy.int64(1)}}",
            "body['a'] is of type int64, which JSON cannot carry; write value.",
        ),
        (
            "{'body': {'a': numpy.arange(3)}}",
            "body['a'] is of type ndarray, which JSON cannot carry; write value",
        ),
        ("{'body': {'a': fetch()}}", "body['a'] is of type coroutine, which JSON cannot carry; write await"),
    ],
)
def test_a_mistake_in_an_answer_says_what_to_write_and_where_it_was_returned(
    meant: Meant, result: str, says: str
) -> None:
    answer, _ = meant(result)
    error = assert_envelope(answer, 502, "contract error: ", says)
    assert error["message"].endswith("(returned at handler.py:51)")


PLACES = {
    "one": ("def handle(req):\n    return 1\n", "returned at handler.py:2"),
    "several": (
        "def handle(req):\n    if req.body:\n        return 2\n    return 1\n",
        "returned by handle at handler.py:1",
    ),
    "async": ("async def handle(req):\n    return 1\n", "returned at handler.py:2"),
    "decorated": (
        "import functools\n\n\ndef timed(f):\n    @functools.wraps(f)\n    def timing(req):\n"
        "        return f(req)\n    return timing\n\n\n@timed\ndef handle(req):\n    x = 1\n    return x\n",
        "returned at handler.py:14",
    ),
    "object": (
        "class Handler:\n    def __call__(self, req):\n        return 1\n\n\nhandle = Handler()\n",
        "returned at handler.py:3",
    ),
    "lambda": ("handle = lambda req: 1\n", "returned by <lambda> at handler.py:1"),
    "partial": (
        "import functools\ndef answer(v, req):\n    return v\nhandle = functools.partial(answer, 1)\n",
        "returned at handler.py:3",
    ),
    "nested": (
        "def handle(req):\n    def inner():\n        return 5\n    return inner()\n",
        "returned at handler.py:4",
    ),
}


@pytest.mark.parametrize("which", PLACES)
def test_whatever_the_handler_is_the_place_is_the_authors(server: Server, deploy: Deploy, which: str) -> None:
    source, place = PLACES[which]
    name = deploy(f"place-{which}", source)
    error = assert_envelope(server.call(name), 502, "contract error: handle returned int")
    assert error["message"].endswith(f"({place})")


def test_the_place_is_in_the_file_that_the_handler_is_written_in(server: Server, deploy: Deploy) -> None:
    bundle = zipped(
        ("handler.py", b"from shop import handle\n"), ("shop.py", b"\n\ndef handle(req):\n    return 1\n")
    )
    error = assert_envelope(server.call(deploy("place-shop", bundle)), 502)
    assert error["message"].endswith("(returned at shop.py:4)")
