"""What is around a program, seen from a function and from ``python handler.py`` in the same cell."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.server import SPACE, Server

Deploy = Callable[..., str]

# ``look()`` is what it sees; a call has it twice: as the function, and as a program that Python starts with
# the variables in the body.
TWICE = """
import json, os, subprocess, sys

def tried(what):
    try:
        return repr(what())
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, error)

def look():
    return {{name: tried(what) for name, what in LOOKS.items()}}

LOOKS = {{
{looks}
}}

def handle(req):
    # Python itself sets LC_CTYPE at its start: without that, the program starts as the function did.
    env = {{name: value for name, value in os.environ.items() if name != "LC_CTYPE"}}
    env.update(json.loads(req.body or "{{}}"))
    done = subprocess.run([sys.executable, __file__], stdin=-3, stdout=-1, stderr=-1, text=True, env=env)
    return {{"body": {{"function": look(), "program": json.loads(done.stdout), "said": done.stderr}}}}

if __name__ == "__main__":
    print(json.dumps(look()))
"""


def twice(looks: dict[str, str]) -> str:
    """The source of a function that looks, by name and expression."""
    return TWICE.format(looks="\n".join(f"    {name!r}: lambda: {what}," for name, what in looks.items()))


def seen(answer: httpx.Response) -> tuple[dict[str, str], dict[str, str]]:
    """What the function and what the program saw."""
    assert answer.status_code == 200, answer.text
    found = json.loads(answer.content)
    assert found["said"] == ""
    return found["function"], found["program"]


def body(answer: httpx.Response) -> Any:
    """The JSON of a 200."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content)


def call_and_log(
    server: Server, name: str, tail: str = "", **request: Any
) -> tuple[httpx.Response, list[str]]:
    """A call, and the lines that it left in the log; the platform's own are not its."""
    answer = server.call(name, tail, headers={"X-Cellblock-Logs": "tail"}, **request)
    log = base64.b64decode(answer.headers["x-cellblock-log-tail"]).decode()
    return answer, [line for line in log.splitlines() if not line.startswith("[platform] ")]


@pytest.fixture(scope="module")
def deploy(server: Server) -> Iterator[Deploy]:
    """``deploy(name, source, **options)`` gives the name back; the function goes with the module."""
    made: set[str] = set()

    def one(name: str, source: str, **options: Any) -> str:
        server.deploy(name, source, **options)
        made.add(name)
        return name

    yield one
    for name in made:
        server.client.delete(f"/spaces/{SPACE}/functions/{name}")
