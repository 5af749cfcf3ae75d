"""What is asked of every server, and what a right answer is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FUNCTIONS = Path(__file__).with_name("functions")


@dataclass(frozen=True)
class Workload:
    """A function that each contestant has, and the body it is called with."""

    name: str
    title: str
    body: str

    @property
    def source(self) -> Path:
        """The function as written for Cellblock."""
        return FUNCTIONS / f"{self.name}.py"

    def is_right(self, answer: bytes) -> bool:
        """Whether an answer's body is what the function should say."""
        return json.loads(answer) == json.loads(self.body) if self.body else answer == b""


ORDER = {
    "order": 4711,
    "customer": {"name": "Ada", "city": "London"},
    "items": [{"sku": "A-1", "count": 2, "price": 9.5}, {"sku": "B-2", "count": 1, "price": 20}],
}

WORKLOADS = (
    Workload("noop", "no-op", ""),
    Workload("echo", "JSON echo", json.dumps(ORDER)),
)
