"""Functions that live as long as the module that tests them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.server import SPACE, Server

Deploy = Callable[..., str]


@pytest.fixture(scope="module")
def deploy(server: Server) -> Iterator[Deploy]:
    """``deploy(name, source, **options)`` gives the name back; the function goes with the module."""
    made: set[str] = set()

    def one(name: str, source: str | bytes, **options: Any) -> str:
        server.deploy(name, source, **options)
        made.add(name)
        return name

    yield one
    for name in made:
        answer = server.client.delete(f"/spaces/{SPACE}/functions/{name}")
        assert answer.status_code in (204, 404), answer.text


@pytest.fixture(scope="module")
def anyone(server: Server) -> Iterator[httpx.Client]:
    """A caller without a credential."""
    with httpx.Client(base_url=server.url, timeout=60.0) as client:
        yield client


@pytest.fixture(scope="module")
def returns(server: Server, deploy: Deploy) -> Callable[[str], httpx.Response]:
    """``returns(expression)``: the answer of a function whose handler returns that expression."""
    name = deploy(
        "returns",
        "import array, collections, datetime, decimal, enum, http, json, types\n"
        "from werkzeug.datastructures import Headers\n"
        "def handle(req):\n    return eval(req.body)\n",
    )
    return lambda expression: server.call(name, content=expression.encode("utf-8", "surrogatepass"))


def as_json(answer: httpx.Response) -> Any:
    """The JSON of a 200."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content)


def took_ms(answer: httpx.Response) -> float:
    """What the whole call took, and what whole milliseconds lose: twice in the limit, once in the header."""
    return float(answer.headers["x-duration-seconds"]) * 1000 + 3
