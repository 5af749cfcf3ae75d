"""What the tests of limits share: a function that tells what it met, and a bystander that must not notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.contract.call.conftest import Deploy, deploy
from tests.support.bystander import Bystander, bystander_on
from tests.support.server import Server

__all__ = ["Deploy", "deploy"]

# Runs the code of its body; ``seen(attempt)`` is what an author would see of a limit that was crossed.
SOURCE = '''
import errno, os, secrets, socket, subprocess, sys, tempfile, threading, time

INSTANCE = secrets.token_hex(8)
calls = 0


def seen(attempt):
    """The exception as its author meets it; None where there was none."""
    try:
        attempt()
    except Exception as error:
        number = getattr(error, "errno", None)
        return {
            "type": type(error).__name__,
            "is_os_error": isinstance(error, OSError),
            "errno": errno.errorcode.get(number),
            "text": str(error),
        }
    return None


def handle(req):
    global calls
    calls += 1
    names = dict(globals())
    exec(req.body, names)
    if "answer" in names:
        return names["answer"]
    return {"body": {"found": names.get("found"), "instance": INSTANCE, "calls": calls}}
'''


@dataclass(frozen=True)
class Limited:
    """One function with limits of the test's choice, of which there is one instance at most."""

    server: Server
    name: str

    def send(self, code: str, **keywords: Any) -> httpx.Response:
        """The caller's view of a call that runs ``code``."""
        return self.server.call(self.name, content=code.encode(), **keywords)

    def run(self, code: str) -> Any:
        """The function's view: what ``code`` left in ``found``."""
        return self.state(code)["found"]

    def state(self, code: str = "") -> Any:
        """``found``, and which instance it was and how many calls that has had."""
        answer = self.send(code)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def limited(server: Server, deploy: Deploy) -> Callable[..., Limited]:
    """``limited(name, **options)``"""

    def make(name: str, **options: Any) -> Limited:
        return Limited(server, deploy(f"limited-{name}", SOURCE, **{"max_instances": 1, **options}))

    return make


@pytest.fixture
def bystander(server: Server) -> Iterator[Bystander]:
    """Called during the whole test and after it."""
    with bystander_on(server) as found:
        yield found
