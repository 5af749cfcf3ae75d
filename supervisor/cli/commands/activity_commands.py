"""``cellblock instances`` and ``cellblock renew``: the instances of a running server, and what makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.commands.resources import activity, gaps, require_space
from supervisor.cli.parameters import Json, Space, Token, Url, connect

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

MIB = 1 << 20
Everywhere = Annotated[bool, typer.Option("--all-spaces", "-A", help="Of every space.")]


def instances(
    name: Annotated[str | None, typer.Argument(help="Only those of this function.")] = None,
    everywhere: Everywhere = False,
    as_json: Json = False,
    space: Space = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the instances of a space's functions.

    Examples:

      cellblock instances
      cellblock instances hello --json
      cellblock instances --all-spaces
    """
    client = connect(url, token, space)
    where = client.url("activity") if everywhere else client.in_space("activity")
    found = activity(client, where)
    listed = [one for one in found["instances"] if name in (None, one.get("name"))]
    if not listed and not everywhere:
        # Nothing to show: is it that nothing runs, or that there is no such function or space?
        _require(client, name)
    if as_json:
        output.write_json(listed)
        return
    columns = ("INSTANCE", "FUNCTION", "VERSION", "STATE", "AGE", "RUNNING", "CALLS", "MEMORY", "FRONT")
    rows = [
        (
            one.get("instance"), _full_name(one), one.get("version"), one.get("state"),
            output.as_text(int(_number(one.get("age_s")))) + " s", one.get("running"), one.get("calls"),
            _mib(one.get("memory_bytes")), one.get("front"),
        )
        for one in listed
    ]  # fmt: skip
    whose = "" if name is None else f" of {name}"
    output.write_table(columns, rows, f"there are no instances{whose} now; a call starts one")
    for gap in gaps(found):
        output.fail_line(gap)


def _require(client: Client, name: str | None) -> None:
    if name is None:
        require_space(client)
    else:
        client.get(client.in_space("functions", name))


def renew(as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Replace the processes that instances are made from, while calls go on.

    Instances that are there stay as they are; new ones are copies of the new processes.

    Examples:

      cellblock renew
      cellblock renew --json
    """
    client = connect(url, token)
    answer = client.send("POST", client.url("zygotes", "renew"))
    if as_json:
        output.write_json(answer)
        return
    names = answer.get("runtimes") if isinstance(answer, dict) else None
    output.write_line(f"being replaced: {', '.join(map(output.as_text, names or ())) or 'none is running'}")


def _full_name(row: dict[str, Any]) -> str:
    return f"{output.as_text(row.get('space'))}/{output.as_text(row.get('name'))}"


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0.0


def _mib(value: object) -> str:
    return f"{_number(value) / MIB:.1f} MiB" if _number(value) else "-"
