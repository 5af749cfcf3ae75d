"""``cellblock audit``: who changed what, and with ``-f`` what is changed from now on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.commands.resources import as_object
from supervisor.cli.parameters import Json, Space, Token, Url, connect

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

LINES_DEFAULT = 50
PAGE_MOST = 1000  # of the server's
PAGES_MOST = 1000
POLL_SECONDS = 1.0
# A line has the time at which its transaction began to write it, and is seen once that is committed: fronts
# and servers commit in any order, but within the store's deadline.  So much is read again at each look.
RECENT = {"since": "30s"}  # by the server's clock


def audit(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is changed.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", help="The last so many.", min=0, metavar="N")
    ] = LINES_DEFAULT,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Not before: 10m, 2d, or 2026-01-31T12:00:00Z.", metavar="TIME"),
    ] = None,
    action: Annotated[
        str | None,
        typer.Option("--action", help="Only these: function.update, or function.", metavar="ACTION"),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--all-spaces", "-A", help="Of the whole server; the administrator's.")
    ] = False,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Show who changed what, when and from where; never a value.

    Examples:

      cellblock audit
      cellblock audit --all-spaces --since 1d --action function.update
      cellblock audit -f --json
    """
    client = connect(url, token, space)
    where = client.url("audit") if everywhere else client.in_space("audit")
    selected = {"action": action} if action else {}
    # Before what is shown: a line that comes in between is shown now, or else at the first look.
    known = {_id(line) for line in _newest(client, where, selected | RECENT, None)} if follow else set()
    asked = selected | ({"since": since} if since else {})
    shown = list(_newest(client, where, asked, lines))
    for line in reversed(shown):
        _write(line, as_json)
    if follow:
        _follow(client, where, selected, known | {_id(line) for line in shown}, as_json)


def _follow(client: Client, where: str, selected: dict[str, str], known: set[str], as_json: bool) -> None:
    """Write what comes, until somebody ends it."""
    while True:
        recent = list(_newest(client, where, selected | RECENT, None))
        for line in reversed(recent):
            if _id(line) not in known:
                _write(line, as_json)
        # What is not among the recent ones is not asked for any more.
        known = {_id(line) for line in recent}
        time.sleep(POLL_SECONDS)


def _newest(client: Client, where: str, query: dict[str, str], most: int | None) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    count = 0
    for _ in range(PAGES_MOST):
        if most is not None and count >= most:
            return
        limit = PAGE_MOST if most is None else min(PAGE_MOST, most - count)
        page = as_object(
            client.get(where, query | {"limit": str(limit)} | ({"cursor": cursor} if cursor else {}))
        )
        found = page.get("data")
        for line in found if isinstance(found, list) else ():
            count += 1
            yield as_object(line)
        paging = page.get("paging")
        cursor = paging.get("next_cursor") if isinstance(paging, dict) else None
        if not cursor:
            return


def _id(line: dict[str, Any]) -> str:
    return str(line.get("id"))


def _write(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.write_line(json.dumps(line, ensure_ascii=True))
        return
    details = line.get("details")
    more = " ".join(f"{key}={value}" for key, value in details.items()) if isinstance(details, dict) else ""
    parts = [str(line.get("at")), str(line.get("space") or "-"), str(line.get("actor"))]
    parts += [str(line.get("address") or "-"), str(line.get("action")), str(line.get("target")), more]
    output.write_line(output.safe("  ".join(part for part in parts if part)))
