"""What the source can say: the messages that it logs, and those of its refusals, with … for what differs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LEVELS = {
    "debug": "debug", "info": "info", "warning": "warning", "warn": "warning", "error": "error",
    "exception": "error", "critical": "critical",
}  # fmt: skip
PLACEHOLDER = re.compile(r"%[-.\d]*[sdrgf]")
# A text of the source that is shorter is in any message.
FRAGMENT_LEAST = 8
# Of a message's letters so many may be values, such as the name of a function.
REST_MOST = 0.34
LOGGERS = re.compile(r"(?:^|\.)_?log$|_complaint$")


def pattern_of(node: ast.expr) -> str | None:
    """A constant text or an f-string, … for its values; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        return "".join(map(str, parts))
    return None


def _nodes(*rooms: str) -> Iterator[ast.AST]:
    for room in rooms:
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def logged() -> set[tuple[str, str]]:
    """Level and message of each call of a logger on the trusted side that has words of its own."""
    found = set()
    for node in _nodes("supervisor"):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        level = LEVELS.get(node.func.attr)
        if level is None or not LOGGERS.search(ast.unparse(node.func.value)):
            continue
        text = pattern_of(node.args[0])
        if text is None:
            continue  # the message of its caller, which is found there
        message = PLACEHOLDER.sub("…", text)
        if re.search("[a-z]", message):
            found.add((level, message))
    return found


def said() -> list[str]:
    """The clauses of the source's texts without values, the longest first: messages are made of them."""
    texts = [text for node in _nodes("supervisor", "worker") if (text := _text(node)) is not None]
    parts = {part.strip() for text in texts for part in re.split(r"…|\{\}|%[-.\d]*[sdrgf]|[;:,] ", text)}
    return sorted((part for part in parts if len(part) >= FRAGMENT_LEAST), key=len, reverse=True)


def _text(node: ast.AST) -> str | None:
    return pattern_of(node) if isinstance(node, ast.expr) else None


def is_said(message: str, parts: list[str]) -> bool:
    """Whether a message is made of ``said()``, but for values and a few of its letters."""
    left = message
    for part in parts:
        left = left.replace(part, "")
    letters, rest = (len(re.sub(r"[^a-z]", "", one)) for one in (message, left))
    return letters > 0 and rest <= REST_MOST * letters


def matches(line: str, message: str) -> bool:
    """Whether a line can be this message with its values."""
    return re.fullmatch(re.escape(message).replace("…", ".*"), line, flags=re.DOTALL) is not None
