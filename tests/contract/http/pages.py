"""What of the table stands in documents: ``docs/http.md`` for operators, ``docs/attacks.md`` for reviewers.

``CELLBLOCK_WRITE_MATRIX=1 pytest tests/contract/http/test_table.py`` writes both from what that run saw;
every other run compares what it sees with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.contract.http.catalogue import FAMILIES, ROWS
from tests.contract.http.rows import OK, SMUGGLED_TARGET, Drip, End, Outcome, Row

REPOSITORY = Path(__file__).parents[3]
VARIABLE = "CELLBLOCK_WRITE_MATRIX"
HTTP_PAGE = REPOSITORY / "docs/http.md"
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
    page.write_text("\n".join([before + heading + section, *others]), encoding="utf-8")


def documented() -> dict[str, set[str]]:
    """What each row gets by ``docs/http.md``."""
    rows = re.findall(
        r"^\| (.+?) \| (.*?) \| .+ \|$", section_of(HTTP_PAGE, HTTP_HEADING), flags=re.MULTILINE
    )
    return {name: set(gets.split(" or ")) for name, gets in rows if name != "request"}
