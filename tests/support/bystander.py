"""Somebody else's function, called from the first moment of a fault to the last: each call must be right."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from tests.support.server import SPACE, TOKEN, Server

# A call takes milliseconds; the cores are shared with whatever the test does to them.
ANSWER_SECONDS = 20.0
# Between its calls: one caller, not a load.
PACE_SECONDS = 0.02
SOURCE = """
def handle(req):
    return {"body": req.body[::-1]}
"""


@dataclass
class Bystander:
    """Calls ``name`` on connections of its own; ``wrong`` says what was not right."""

    client: httpx.Client
    name: str
    answered: int = 0
    wrong: list[str] = field(default_factory=list)

    def ask(self) -> None:
        """One call, its answer compared."""
        word = secrets.token_hex(8)
        try:
            answer = self.client.post(f"/spaces/{SPACE}/functions/{self.name}/invoke", content=word)
            if (answer.status_code, answer.text) != (200, word[::-1]):
                self.wrong.append(f"{answer.status_code}: {answer.text}")
        except Exception as error:  # whatever kept the answer away is the finding
            self.wrong.append(repr(error))
        self.answered += 1

    def answered_again(self, times: int = 3) -> None:
        """Return once it has been answered ``times`` more: for the middle of something that lasts."""
        wanted = self.answered + times
        deadline = time.monotonic() + ANSWER_SECONDS
        while self.answered < wanted:
            assert time.monotonic() < deadline, "the bystander is not answered"
            time.sleep(PACE_SECONDS)


@contextlib.contextmanager
def bystander_on(server: Server, name: str = "the-bystander") -> Iterator[Bystander]:
    """Deploy it, call it until the end and once more, and find every answer right."""
    server.deploy(name, SOURCE, max_instances=2)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=ANSWER_SECONDS) as client:
        found = Bystander(client, name)
        found.ask()
        over = threading.Event()

        def keep_asking() -> None:
            while not over.wait(PACE_SECONDS):
                found.ask()

        asking = threading.Thread(target=keep_asking)
        asking.start()
        try:
            yield found
        finally:
            over.set()
            asking.join(2 * ANSWER_SECONDS)
        found.ask()
    assert found.answered >= 2
    assert not found.wrong, found.wrong[:5]
