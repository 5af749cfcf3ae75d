"""The platform's inside, in whatever a function or its caller is shown: a path, a frame, a module of ours.

A function's log and every answer are for people who know nothing of the platform's code: not one line of it
may be in them.
"""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

_MODULES = "|".join(
    sorted({path.stem for path in (REPOSITORY / "worker").rglob("*.py") if path.stem != "__init__"})
)
# Each with what an author would see of it.
INSIDES = re.compile(
    "|".join(
        (
            re.escape(str(REPOSITORY)),
            r"/opt/cellblock\b",  # where our code lies in a cell
            r"\b_cellblock\b",
            rf"\bworker[./](?:\w+[./])*(?:{_MODULES})\b",
            r"\bfunction/(?:_seam|context|request|secrets|testing|variables)\.py\b",
            r"\bsupervisor[./]\w+",
            r"\b(?:_serve_sync|run_pid_1|_run_worker|rehears\w*|zygote)\b",
            r"\bcellblock_call\b",
            r"\b(?:gunicorn|uvloop|uvicorn|fastapi|starlette)\b",
        )
    )
)
SHOWN_CHARS = 160


def insides_in(text: str) -> list[str]:
    """What of the platform's inside a text shows: the lines that have it."""
    return [line.strip()[:SHOWN_CHARS] for line in text.splitlines() if INSIDES.search(line)]
