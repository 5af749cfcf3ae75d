"""``cellblock apps …`` and ``cellblock keys …``: who may do what in a space."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import refused, usage
from supervisor.cli.commands.resources import all_pages, as_object
from supervisor.cli.parameters import Json, Space, Token, Url, before_the_command, connect
from supervisor.errors import shown
from supervisor.tenancy.scopes import WORDS

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

apps = typer.Typer(
    no_args_is_help=True,
    callback=before_the_command,
    help="Make, list, rotate and remove apps: programs that get access tokens (OAuth2).",
)
keys = typer.Typer(
    no_args_is_help=True,
    callback=before_the_command,
    help="Make, list and remove keys: long-lived tokens for people and scripts.",
)

ONCE = "it is not shown again"
UNITS_S = {"m": 60, "h": 3600, "d": 86_400}

Name = Annotated[str, typer.Argument(help="What its holder is called.", metavar="NAME", show_default=False)]
Which = Annotated[str, typer.Argument(help="Its name or id.", metavar="NAME", show_default=False)]
Scopes = Annotated[
    list[str],
    typer.Option(
        "--scope",
        help=f"What it may do, once or more: {', '.join(WORDS)}.",
        metavar="SCOPE",
        show_default=False,
    ),
]
Functions = Annotated[
    list[str] | None,
    typer.Option(
        "--function",
        help="Bind it to this function, once or more; else all.",
        metavar="NAME",
        show_default=False,
    ),
]


@apps.command("add")
def add_app(
    name: Name,
    scope: Scopes,
    function: Functions = None,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make an app, and show its client id and its secret once.

    Examples:

      cellblock apps add shop --scope function.invoke --function order
    """
    client = connect(url, token, space)
    made = as_object(client.send("POST", client.in_space("apps"), _wanted(name, scope, function)))
    _tell_made(made, ("client_id", "client_secret"), client, as_json)


@apps.command("list")
def list_apps(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """List the apps of a space.

    Examples:

      cellblock apps list
    """
    columns = {"NAME": "name", "CLIENT ID": "client_id", "SCOPES": "scopes", "FUNCTIONS": "functions"}
    _list("apps", columns, connect(url, token, space), as_json)


@apps.command("rotate")
def rotate_app(
    name: Which,
    overlap: Annotated[
        str, typer.Option(help="How long the secret before still works: 0, 30m, 24h, 7d.", metavar="TIME")
    ] = "24h",
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Give an app another secret, which is shown once.

    Examples:

      cellblock apps rotate shop
      cellblock apps rotate shop --overlap 0
    """
    wanted = {"overlap_seconds": _seconds(overlap, "--overlap")}
    client = connect(url, token, space)
    address = client.in_space("apps", _id_of(client, "apps", "client_id", name), "rotate")
    answer = as_object(client.send("POST", address, wanted))
    _tell_made(answer, ("client_id", "client_secret", "previous_until"), client, as_json)


@apps.command("remove")
def remove_app(
    name: Which, space: Space = None, as_json: Json = False, url: Url = None, token: Token = None
) -> None:
    """Remove an app; the server refuses its access tokens from then on.

    Examples:

      cellblock apps remove shop
    """
    _remove("apps", "client_id", name, connect(url, token, space), as_json)


@keys.command("add")
def add_key(
    name: Name,
    scope: Scopes,
    function: Functions = None,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 90d, 12h, or 2030-01-31T00:00:00Z; else never.", metavar="TIME"),
    ] = None,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a key, and show it once.

    Examples:

      cellblock keys add ci --scope function --scope log.read
      cellblock keys add web --scope function.invoke --expires 90d
    """
    client = connect(url, token, space)
    wanted = _wanted(name, scope, function)
    if expires is not None:
        wanted["expires_at"] = _moment(expires)
    made = as_object(client.send("POST", client.in_space("keys"), wanted))
    _tell_made(made, ("id", "key"), client, as_json)


@keys.command("list")
def list_keys(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """List the keys of a space.

    Examples:

      cellblock keys list
    """
    columns = {
        "NAME": "name",
        "ID": "id",
        "SCOPES": "scopes",
        "FUNCTIONS": "functions",
        "EXPIRES": "expires_at",
    }
    _list("keys", columns, connect(url, token, space), as_json)


@keys.command("remove")
def remove_key(
    name: Which, space: Space = None, as_json: Json = False, url: Url = None, token: Token = None
) -> None:
    """Remove a key; the server refuses it from then on.

    Examples:

      cellblock keys remove ci
    """
    _remove("keys", "id", name, connect(url, token, space), as_json)


def _wanted(name: str, scopes: list[str], functions: list[str] | None) -> dict[str, Any]:
    words = [word for given in scopes for word in given.split(",")]
    for word in words:
        if word not in WORDS:
            raise usage(f"cannot use --scope {shown(word)}; use some of {', '.join(WORDS)}")
    return {"name": name, "scopes": words, **({"functions": functions} if functions else {})}


def _tell_made(made: dict[str, Any], facts: tuple[str, ...], client: Client, as_json: bool) -> None:
    if as_json:
        output.write_json(made)
        return
    output.write_facts([(fact, made.get(fact)) for fact in facts])
    output.write_line(f"keep it now: {ONCE} (space {client.target.space})")


def _list(kind: str, columns: dict[str, str], client: Client, as_json: bool) -> None:
    found = all_pages(client, client.in_space(kind))
    if as_json:
        output.write_json(found)
        return
    rows = [tuple(_words(entry.get(key)) for key in columns.values()) for entry in found]
    output.write_table(tuple(columns), rows, f"no {kind} in space {client.target.space}")


def _words(value: Any) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value or "-"


def _id_of(client: Client, kind: str, key: str, name: str) -> str:
    """The id of the one of this name or id; CommandFailure (refused) if there is none."""
    found = all_pages(client, client.in_space(kind))
    for entry in found:
        if name in (entry.get(key), entry.get("name")):
            return str(entry.get(key))
    raise refused(
        f"space {client.target.space} has no {kind[:-1]} {shown(name)}; 'cellblock {kind} list' shows them"
    )


def _remove(kind: str, key: str, name: str, client: Client, as_json: bool) -> None:
    identifier = _id_of(client, kind, key, name)
    client.send("DELETE", client.in_space(kind, identifier))
    if as_json:
        output.write_json({"removed": [identifier]})
    else:
        output.write_line(f"removed from space {client.target.space}: {kind[:-1]} {name}")


def _seconds(text: str, option: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([mhd]?)", text)
    if match is None or (not match[2] and match[1] != "0"):
        raise usage(f"cannot use {option} {shown(text)}; write a time such as 30m, 24h, 7d or 0")
    return int(match[1]) * UNITS_S.get(match[2], 1)


def _moment(text: str) -> str:
    """RFC 3339, from itself or from how long until then."""
    if not re.fullmatch(r"[0-9]+[mhd]?", text):
        return text
    moment = datetime.now(UTC) + timedelta(seconds=_seconds(text, "--expires"))
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
