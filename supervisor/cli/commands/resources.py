"""What several commands do alike with the server's resources.

They read a list to its end, remove some by name, and ask whether a space is there and what goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from supervisor.cli import output
from supervisor.cli.command_errors import CommandFailure, refused

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

PAGES_MAX = 1000  # of a list: stops a server that never ends its pages


def remove_and_tell(kind: str, names: list[str], client: Client, as_json: bool) -> None:
    """Remove the named resources of a kind one after the other; a failure names those already removed."""
    # All addresses first: an impossible name then removes nothing.
    addresses = [(name, client.in_space(kind, name)) for name in names]
    removed: list[str] = []
    try:
        for name, address in addresses:
            client.send("DELETE", address)
            removed.append(name)
    except CommandFailure as error:
        done = f"; already removed: {', '.join(removed)}" if removed else ""
        raise CommandFailure(f"{name}: {error.message}{done}", error.exit_code) from None
    if as_json:
        output.write_json({"removed": removed})
    else:
        output.write_line(f"removed from space {client.target.space}: {', '.join(removed)}")


def all_pages(client: Client, address: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The objects of every page of a list, in the server's order."""
    given = dict(query or {})
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = as_object(client.get(address, given | ({"cursor": cursor} if cursor else {}) or None))
        entries = page.get("data")
        if not isinstance(entries, list):
            raise _not_ours(address)
        found.extend(as_object(entry) for entry in entries)
        paging = page.get("paging")
        following = paging.get("next_cursor") if isinstance(paging, dict) else None
        if not isinstance(following, str) or not following or following == cursor:
            return found
        cursor = following
    raise refused(f"the list at {address} has more than {PAGES_MAX} pages; it does not seem to end")


def require_space(client: Client) -> None:
    """CommandFailure (refused), with the near names, if the server has no such space."""
    client.get(client.in_space("functions"), {"limit": "1"})


def create_space(client: Client) -> None:
    """Create the chosen space, unless there is one of that name; CommandFailure."""
    from supervisor.cli.client.http_client import RequestRefused

    try:
        client.send("POST", client.url("spaces"), {"name": client.target.space})
    except RequestRefused as error:
        if error.status != 409:
            raise


def activity(client: Client, where: str) -> dict[str, Any]:
    """What goes on at a server, checked as far as commands read it."""
    found = client.get(where)
    for key in ("functions", "instances"):
        rows = found.get(key) if isinstance(found, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise refused(f"the server's answer to {where} has no {key}: it is another version")
    checked: dict[str, Any] = found
    return checked


def gaps(now: Mapping[str, Any]) -> list[str]:
    """What the figures leave out."""
    missing, left_out = now.get("missing"), now.get("left_out")
    found = []
    if isinstance(missing, int) and missing:
        found.append(f"{missing} fronts did not answer in time: theirs is not in it")
    if isinstance(left_out, int) and left_out:
        found.append(f"{left_out} rows were too many: name a space")
    return found


def as_object(answer: Any) -> dict[str, Any]:
    """``answer`` if it is a JSON object; else CommandFailure (refused)."""
    if not isinstance(answer, dict):
        raise _not_ours("the URL")
    return answer


def _not_ours(where: str) -> CommandFailure:
    return refused(
        f"the server's answer has another form than expected; check that {where} is a Cellblock server"
    )
