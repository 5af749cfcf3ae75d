"""``cellblock quotas …``: what a space may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import usage
from supervisor.cli.commands.resources import as_object
from supervisor.cli.parameters import Json, Space, Token, Url, before_the_command, connect

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

# What a limit is called that there is not.
NONE = "none"
_USED = "used"

quotas = typer.Typer(
    no_args_is_help=True,
    callback=before_the_command,
    help="Show and set what a space may use.",
)
Given = Annotated[
    list[str],
    typer.Argument(help="Quotas with their limits; none takes one away.", metavar="NAME=LIMIT..."),
]


@quotas.command("show")
def show_quotas(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Show the quotas of a space, and what it uses of them.

    Examples:

      cellblock quotas show --space acme
    """
    client = connect(url, token, space)
    _show(client, as_object(client.get(client.in_space("quotas"))), as_json)


@quotas.command("set")
def set_quotas(
    limits: Given, space: Space = None, as_json: Json = False, url: Url = None, token: Token = None
) -> None:
    """Set quotas of a space; those that are not named stay.  The administrator's.

    They are in force when the command ends.

    Examples:

      cellblock quotas set calls_per_minute=600 concurrent_calls=20 --space acme
      cellblock quotas set calls_per_minute=none --space acme
    """
    wanted = dict(map(_limit, limits))
    client = connect(url, token, space)
    address = client.in_space("quotas")
    before = as_object(client.get(address))
    kept = {name: limit for name, limit in before.items() if name != _USED and name not in wanted}
    _show(client, as_object(client.send("PUT", address, {**kept, **wanted})), as_json)


def _limit(text: str) -> tuple[str, int | None]:
    name, equals, limit = text.partition("=")
    is_number = limit.isascii() and limit.isdigit()
    if not equals or not name or not (is_number or limit == NONE):
        raise usage(
            f"cannot use {text!r}: write NAME=LIMIT with a whole number or {NONE}, "
            "such as calls_per_minute=600"
        )
    return name, int(limit) if is_number else None


def _show(client: Client, found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.write_json(found)
        return
    used = found.get(_USED)
    spent = used if isinstance(used, dict) else {}
    rows = [
        (name, limit if limit is not None else NONE, spent.get(name))
        for name, limit in found.items()
        if name != _USED
    ]
    output.write_table(("QUOTA", "LIMIT", "USED"), rows, f"space {client.target.space} has no quotas")
