"""docs/troubleshooting.md and docs/glossary.md: messages that the server says, words that the house uses."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from supervisor.front.outcome.outcomes import TABLE, Outcome
from tests.support.log_words import is_said, said

REPOSITORY = Path(__file__).parents[3]
DOCS = REPOSITORY / "docs"
TROUBLES = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
# What the text of an exception is, is its function's.
NO_WORDS_OF_OURS = {"… at line …: …"}
# Nobody is told these: the answer is the function's, or nobody is there to read it.
UNTOLD = {Outcome.ANSWERED, Outcome.CANCELLED}
# Rooms whose names are English words for what is in them, or those of others' things.
NO_NOUNS = {
    "answer", "api", "auth", "capture", "checking", "cli", "client", "code", "commands", "following",
    "fresh", "function", "functions", "http", "imports", "invoke", "jail", "launch", "logs", "memory",
    "metrics", "migrations", "reading", "routes", "sandbox", "seccomp", "serve", "serving", "settings",
    "standins", "startup", "supervisor", "supply", "swx", "telemetry", "versions", "watching", "writing",
}  # fmt: skip


def rows(page: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if re.match(r"\| (?!word|status|what you see)", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def messages() -> list[tuple[str, str]]:
    """Status and message of each row that has both."""
    return [
        (row[0], row[1].strip("`"))
        for row in rows(TROUBLES)
        if len(row) == 3 and re.fullmatch(r"\d+", row[0])
    ]


def test_every_message_of_the_page_is_one_that_the_server_says() -> None:
    parts = said()
    found = [message for _, message in messages()]
    assert len(found) >= 40
    assert [one for one in found if one not in NO_WORDS_OF_OURS and not is_said(one, parts)] == []


def test_every_status_that_the_platform_gives_has_a_row() -> None:
    given = {str(status) for row in TABLE.values() for status in row.statuses}
    for path in (REPOSITORY / "supervisor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_refusal = isinstance(node, ast.Call) and ast.unparse(node.func) in ("PlatformError", "refusal")
            if is_refusal and node.args and isinstance(node.args[0], ast.Constant):  # type: ignore[attr-defined]
                given.add(str(node.args[0].value))  # type: ignore[attr-defined]
    assert given - {status for status, _ in messages()} == set()


def words() -> list[str]:
    return [row[0] for row in rows(GLOSSARY)]


def test_the_words_are_in_order_and_each_has_one_sentence() -> None:
    for part in GLOSSARY.split("\n## ")[1:]:
        found = [row[0].lower() for row in rows(part)]
        assert found == sorted(found)
    assert len(words()) == len(set(words()))
    for row in rows(GLOSSARY):
        assert len(row) == 2 and not row[1].endswith("."), row


def test_each_word_occurs_in_another_document() -> None:
    pages = [*DOCS.glob("*.md"), *REPOSITORY.glob("*.md")]
    text = " ".join(
        " ".join(page.read_text(encoding="utf-8").split()) for page in pages if page.name != "glossary.md"
    ).lower()
    assert [word for word in words() if word.lower() not in text] == []


def test_each_rooms_noun_and_each_word_of_the_architecture_is_in_the_glossary() -> None:
    architecture = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = re.findall(
        r"^\| `([\w/]+)` \| ", architecture.split("## The rooms")[1].partition("\n## ")[0], flags=re.MULTILINE
    )
    nouns = {part for room in rooms for part in room.split("/")} - NO_NOUNS
    theirs = architecture.split("\n## Words\n")[1].partition("\n## ")[0]
    nouns |= {
        word for row in rows(theirs) for word in row[0].split(", ") if word not in ("template", "blank")
    }
    known = {form for word in words() for form in (word, f"{word}s", *word.split(" "))}
    assert nouns - known == set()
