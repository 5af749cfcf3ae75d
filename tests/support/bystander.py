"""Somebody else's function, called from the first moment of a fault to the last: each call must be right."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from tests.support.asked import Asked
from tests.support.eventually import eventually
from tests.support.server import SPACE, TOKEN, Server

# A call takes milliseconds; the cores are shared with whatever the test does to them.
ANSWER_SECONDS = 20.0
SOURCE = """
def handle(req):
    return {"body": req.body[::-1]}
"""


@dataclass
class Bystander(Asked):
    """Calls ``name`` on connections of its own; ``wrong`` says what was not right."""

    client: httpx.Client
    name: str

    def send(self, word: str) -> httpx.Response:
        """One call."""
        return self.client.post(f"/spaces/{SPACE}/functions/{self.name}/invoke", content=word)

    def right(self, word: str) -> str:
        """As SOURCE answers."""
        return word[::-1]

    def answered_again(self, times: int = 3) -> None:
        """Return once it has been answered ``times`` more: for the middle of something that lasts."""
        wanted = self.answered + times
        eventually(lambda: self.answered >= wanted, "the bystander is not answered")


@contextlib.contextmanager
def bystander_on(server: Server, name: str = "the-bystander") -> Iterator[Bystander]:
    """Deploy it, call it until the end and once more, and find every answer right."""
    server.deploy(name, SOURCE, max_instances=2)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=ANSWER_SECONDS) as client:
        found = Bystander(client, name)
        found.ask()
        with found.meanwhile(2 * ANSWER_SECONDS):
            yield found
        found.ask()
    assert found.answered >= 2
    assert not found.wrong, found.wrong[:5]
