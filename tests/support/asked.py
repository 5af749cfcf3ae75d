"""A function whose answer is known, called while something happens to others: each answer is right."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

# Between its calls: one caller, not a load.
PACE_SECONDS = 0.02


@dataclass
class Asked:
    """``wrong`` says what was not right, ``slowest`` is the longest wait in seconds."""

    answered: int = field(default=0, init=False)
    slowest: float = field(default=0.0, init=False)
    wrong: list[str] = field(default_factory=list, init=False)

    def send(self, word: str) -> httpx.Response:
        """One call with this body."""
        raise NotImplementedError

    def right(self, word: str) -> str:
        """What it has to answer."""
        raise NotImplementedError

    def ask(self) -> None:
        """One call, its answer compared."""
        word = secrets.token_hex(8)
        began = time.monotonic()
        try:
            answer = self.send(word)
            if (answer.status_code, answer.text) != (200, self.right(word)):
                self.wrong.append(f"{answer.status_code}: {answer.text}")
        except Exception as error:  # whatever kept the answer away is the finding
            self.wrong.append(repr(error))
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.answered += 1

    @contextlib.contextmanager
    def meanwhile(self, join_seconds: float) -> Iterator[None]:
        """Asked from the first moment of the block to its last."""
        over = threading.Event()

        def keep_asking() -> None:
            self.ask()
            while not over.wait(PACE_SECONDS):
                self.ask()

        asking = threading.Thread(target=keep_asking)
        asking.start()
        try:
            yield
        finally:
            over.set()
            asking.join(join_seconds)
