"""Run a function in a forked child: what it does to itself ends with it."""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

CHILD_SECONDS = 30


def in_child(attempt: Callable[[], Any]) -> Any:
    """What ``attempt`` returns in a child, as JSON carries it; AssertionError with its traceback."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(CHILD_SECONDS)
        try:
            text = json.dumps({"gave": attempt()})
        except BaseException:  # the child never returns to the test
            text = json.dumps({"raised": traceback.format_exc()})
        try:
            with os.fdopen(write, "w") as pipe:
                pipe.write(text)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    status = os.waitpid(pid, 0)[1]
    assert text, f"the child ended with status {status}"
    answer = json.loads(text)
    assert "raised" not in answer, answer["raised"]
    return answer["gave"]
