"""What came of a program, in the same words for plain Python and for a cell, so that they compare."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

# Who runs a coroutine stands above it in a stack that it prints; who that is, is the caller's affair.
FRAME_OF_A_LOOP = re.compile(
    r'  File "[^"]*/asyncio/(?:runners|base_events|events)\.py", line \d+, in '
    r"(?:run|run_until_complete|run_forever|_run_once|_run)\n    .*\n(?: +[~^]+\n)?"
)
# What cannot be the same twice: each with its reason.
MUST_DIFFER = (
    (re.compile(r"\b0x[0-9a-f]{6,}"), "0xN", "addresses in memory"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.,]\d+)?"), "TIME", "the time of day"),
    (re.compile(r"\bTask-\d+"), "Task-N", "tasks are counted, and a server has had some before"),
    (re.compile(r"\b(pid|process) \d+"), r"\1 N", "process ids"),
    (re.compile(r"line repeated \d+ more"), "line repeated N more", "how deep the caller stands"),
)


@dataclass
class Came:
    """``answers`` in their order; ``log`` are the entries that a cell has left, of which stderr is made."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of_a_cell(cls, answers: list[dict[str, Any]], log: list[dict[str, Any]]) -> Came:
        """From the answers and the log that the server kept."""
        return cls(answers, written(log, "stdout"), written(log, "stderr"), log)

    def compared(self) -> dict[str, Any]:
        """Without what must differ."""
        return {
            "answers": json.loads(constant(json.dumps(self.answers, ensure_ascii=False))),
            "stdout": constant(self.stdout),
            "stderr": constant(self.stderr),
        }


def fits(expected: Any, came: Any) -> bool:
    """Whether it is the same, where … in a text that is expected stands for anything."""
    if isinstance(expected, str) and isinstance(came, str):
        return re.fullmatch(re.escape(expected).replace("…", ".*"), came, flags=re.DOTALL) is not None
    if isinstance(expected, dict) and isinstance(came, dict):
        return expected.keys() == came.keys() and all(fits(expected[key], came[key]) for key in expected)
    if isinstance(expected, list) and isinstance(came, list):
        return len(expected) == len(came) and all(map(fits, expected, came))
    return bool(expected == came)


def constant(text: str) -> str:
    """The text without what must differ."""
    text = FRAME_OF_A_LOOP.sub("", text)
    for pattern, stands, _ in MUST_DIFFER:
        text = pattern.sub(stands, text)
    return text


def written(log: list[dict[str, Any]], stream: str) -> str:
    """The text of a stream."""
    return "\n".join(entry["text"] for entry in log if entry["stream"] == stream).rstrip("\n")
