"""What of the table stands in documents: ``docs/http.md`` for operators, ``docs/attacks.md`` for reviewers.

``CELLBLOCK_TEST_WRITE_MATRIX=1 pytest tests/contract/http/test_table.py`` writes both from what that run saw;
every other run compares what it sees with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from supervisor.front.http.connection import INBOX_MAX_BYTES, LINGER_BYTES
from supervisor.front.http.connection_counts import ADDRESS_SHARE
from supervisor.front.http.message import FRAMING_RUN_BYTES, FRAMING_SLACK_BYTES
from supervisor.front.http.request_head import HEAD_MAX_BYTES, HEADERS_MOST, REQUEST_LINE_MAX_BYTES
from supervisor.front.http.worker import LINGER_SECONDS
from tests.contract.http.catalogue import FAMILIES, ROWS
from tests.contract.http.rows import OK, SMUGGLED_TARGET, Drip, End, Outcome, Row
from tests.support.settings import default_of

REPOSITORY = Path(__file__).parents[3]
VARIABLE = "CELLBLOCK_TEST_WRITE_MATRIX"
HTTP_PAGE = REPOSITORY / "docs/http.md"
BOUNDS_HEADING = "\n## Bounds\n"
HTTP_HEADING = "\n## Every request that is tried\n"
ATTACKS_PAGE = REPOSITORY / "docs/attacks.md"
ATTACKS_HEADING = "\n## The HTTP edge\n"
ATTACKS_HEAD = """
Requests that two servers read in two ways: one takes for data what the other then runs. Each carries a whole
second request to a function that remembers its calls, over the API's way and the invocation's alike, by
`tests/contract/http/test_table.py`. *stopped* means: it was not called by that, nothing that was sent after
the last answer was read as a request, and somebody else was answered. *Control*: of readers that forgive as
real ones did (`tests/contract/http/lenient.py`) at least one, given the same bytes, runs the second request.

| # | case | | gets | control |
|---|---|---|---|---|
"""


def bounds() -> list[tuple[str, str, str]]:
    """What is bounded, by how much, and what is beyond it."""
    return [
        ("a request's head, its first line included", f"{HEAD_MAX_BYTES:,} bytes", "431, closed"),
        ("its headers", f"{HEADERS_MOST}", "431, closed"),
        ("its first line", f"{REQUEST_LINE_MAX_BYTES:,} bytes", "414, closed"),
        ("time for a head", setting("head_seconds", "s"), "closed"),
        ("a body", "`max_request` of its function", "413, closed"),
        ("time for a body", setting("body_seconds", "s"), "408, closed"),
        ("sizes, extensions and trailers of chunks", f"the body and {FRAMING_SLACK_BYTES:,} bytes",
         "400, closed"),
        ("of them, without a byte of the body between", f"{FRAMING_RUN_BYTES:,} bytes", "400, closed"),
        ("a connection without a request", setting("keepalive_seconds", "s"), "closed"),
        ("an answer that nobody reads", setting("unread_seconds", "s"), "reset"),
        ("what is read and thrown away of a refused request", f"{LINGER_BYTES:,} bytes, {LINGER_SECONDS:g} s",
         "reset"),
        ("requests that come ahead of an answer", f"{INBOX_MAX_BYTES:,} bytes", "read later"),
        ("connections of one front", setting("connections_most"), "503, closed"),
        ("of them, those of one address, or of one IPv6 network of 64 bits",
         setting("connections_per_address"), "503, closed"),
        ("unanswered requests of one front", setting("requests_max_bytes", "bytes"), "503, closed"),
        ("of them, those of one address", f"{ADDRESS_SHARE:.0%} of that", "503, closed"),
    ]  # fmt: skip


def setting(name: str, unit: str = "") -> str:
    """A setting and its default."""
    return f"`{name}` ({default_of(name):,.12g}{' ' if unit else ''}{unit})"


def bounds_section() -> str:
    """Its table."""
    lines = ["", "| what | bound | beyond it |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in bounds())]) + "\n"


def is_smuggling(row: Row) -> bool:
    """Whether it carries a second request that must not be run."""
    sent = b"".join(step.data if isinstance(step, Drip) else step for step in row.steps if not is_wait(step))
    return row.is_attack and SMUGGLED_TARGET in sent and not any(one.smuggled for one in row.outcomes)


def is_wait(step: object) -> bool:
    """Whether nothing is sent by it."""
    return not isinstance(step, bytes | Drip)


def told(outcome: Outcome) -> str:
    """An outcome in a table: its statuses, and what becomes of the connection if that is certain."""
    words = ["2xx" if status == OK else str(status) for status in outcome.statuses]
    statuses = f"{len(words)} times 2xx" if len(words) > 3 else " ".join(words)
    end = "" if outcome.end is End.EITHER else outcome.end.value
    return ", ".join(part for part in (statuses, end) if part)


def cell(seen: Iterable[str]) -> str:
    """Several outcomes; the ways through the server, and what arrives first, may differ."""
    return " or ".join(sorted(seen))


def http_section(seen: dict[str, set[str]]) -> str:
    """The rows of all families."""
    lines = []
    for family, rows in FAMILIES.items():
        lines += [f"\n### {family}\n", "| request | gets | by |", "|---|---|---|"]
        lines += [f"| {row.name} | {cell(seen[row.name])} | {row.why} |" for row in rows]
    return "\n".join(lines) + "\n"


def attacks_section(seen: dict[str, set[str]]) -> str:
    """The attempts to smuggle."""
    attacks = [row for row in ROWS if is_smuggling(row)]
    lines = [
        f"| H{number} | {row.name} | stopped | {cell(seen[row.name])} | succeeds |"
        for number, row in enumerate(attacks, 1)
    ]
    return ATTACKS_HEAD + "\n".join(lines) + "\n"


def section_of(page: Path, heading: str) -> str:
    """What stands below a heading of the second rank, up to the next one."""
    _, _, rest = page.read_text(encoding="utf-8").partition(heading)
    return re.split(r"^## ", rest, flags=re.MULTILINE)[0].rstrip("\n") + "\n"


def replace_section(page: Path, heading: str, section: str) -> None:
    """Write it anew."""
    before, _, rest = page.read_text(encoding="utf-8").partition(heading)
    _, *others = re.split(r"^(?=## )", rest, flags=re.MULTILINE)
    page.write_text("\n".join([before.rstrip("\n") + "\n" + heading + section, *others]), encoding="utf-8")


def documented() -> dict[str, set[str]]:
    """What each row gets by ``docs/http.md``."""
    rows = re.findall(
        r"^\| (.+?) \| (.*?) \| .+ \|$", section_of(HTTP_PAGE, HTTP_HEADING), flags=re.MULTILINE
    )
    return {name: set(gets.split(" or ")) for name, gets in rows if name != "request"}
