"""``cellblock secrets …`` and ``cellblock variables …``: the values that a space's functions can read."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from supervisor.cli import arguments, output
from supervisor.cli.command_errors import usage
from supervisor.cli.commands.resources import all_pages, create_space, remove_and_tell
from supervisor.cli.parameters import CreateSpace, Json, Space, Token, Url, before_the_command, connect

VALUE_MAX_BYTES = 64 * 1024  # the server's bound for one value
INPUT_MAX_BYTES = VALUE_MAX_BYTES + 2  # with the line end that is cut off

secrets = typer.Typer(
    no_args_is_help=True,
    callback=before_the_command,
    help="Set, list and remove a space's secrets; a secret is never shown again.",
)
variables = typer.Typer(
    no_args_is_help=True,
    callback=before_the_command,
    help="Set, list and remove a space's variables: any JSON value.",
)

Name = Annotated[str, typer.Argument(help="The name.", metavar="NAME", show_default=False)]
Names = Annotated[list[str], typer.Argument(help="The names.", metavar="NAME...", show_default=False)]


@secrets.command("set")
def set_secret(
    name: Name,
    value: Annotated[
        str | None,
        typer.Argument(
            help="The value; - reads standard input; if left out, it is asked for.",
            metavar="VALUE",
            show_default=False,
        ),
    ] = None,
    with_space: CreateSpace = False,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Set a secret.  The next call of every function of the space sees it.

    Without VALUE it is asked for and not shown.  From standard input, one
    line end at the very end does not count.  A VALUE on the command line can
    be seen by other users and stays in the shell's history.

    Examples:

      cellblock secrets set API_KEY
      cellblock secrets set TLS_KEY - < key.pem
    """
    client = connect(url, token, space)
    address = client.in_space("secrets", name)
    if value == "-":
        text = _standard_input("a secret")
    elif value is not None:
        text = value
    elif sys.stdin.isatty():
        text = typer.prompt(f"Value of {output.safe(name)}", hide_input=True, err=True)
    else:
        raise usage(f"a value for {name} is missing; give it as an argument, or - to read standard input")
    if with_space:
        create_space(client)
    client.send("PUT", address, {"value": text})
    _tell_set("secret", name, client.target.space, as_json)


@variables.command("set")
def set_variable(
    name: Name,
    value: Annotated[
        str, typer.Argument(help="JSON or text; - reads standard input.", metavar="VALUE", show_default=False)
    ],
    text: Annotated[bool, typer.Option("--text", help="Take VALUE as text even if it is JSON.")] = False,
    with_space: CreateSpace = False,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Set a variable.  The next call of every function of the space sees it.

    VALUE is JSON if it can be read as JSON, else text: 3 is a number,
    '"3"' and --text 3 are text.

    Examples:

      cellblock variables set REGION eu-west-1
      cellblock variables set LIMITS '{"low": 1, "high": 9}'
      cellblock variables set VERSION 1.10 --text
    """
    client = connect(url, token, space)
    address = client.in_space("variables", name)
    given = _standard_input("a variable") if value == "-" else value
    if with_space:
        create_space(client)
    client.send("PUT", address, {"value": given if text else _json_or_text(given)})
    _tell_set("variable", name, client.target.space, as_json)


@secrets.command("list")
def list_secrets(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """List the names of a space's secrets.

    Examples:

      cellblock secrets list
    """
    _list("secrets", ("NAME", "UPDATED"), ("name", "updated_at"), space, as_json, url, token)


@variables.command("list")
def list_variables(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """List a space's variables with their values.

    Examples:

      cellblock variables list --json
    """
    _list(
        "variables", ("NAME", "VALUE", "UPDATED"), ("name", "value", "updated_at"), space, as_json, url, token
    )


@secrets.command("rm")
def remove_secrets(
    names: Names, space: Space = None, as_json: Json = False, url: Url = None, token: Token = None
) -> None:
    """Remove secrets of a space.

    Examples:

      cellblock secrets rm API_KEY
    """
    remove_and_tell("secrets", names, connect(url, token, space), as_json)


@variables.command("rm")
def remove_variables(
    names: Names, space: Space = None, as_json: Json = False, url: Url = None, token: Token = None
) -> None:
    """Remove variables of a space.

    Examples:

      cellblock variables rm REGION
    """
    remove_and_tell("variables", names, connect(url, token, space), as_json)


def _list(
    kind: str,
    columns: tuple[str, ...],
    keys: tuple[str, ...],
    space: str | None,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    client = connect(url, token, space)
    found = all_pages(client, client.in_space(kind))
    if as_json:
        output.write_json(found)
        return
    rows = [tuple(_shown(key, entry) for key in keys) for entry in found]
    output.write_table(columns, rows, f"no {kind} in space {client.target.space}")


def _shown(key: str, entry: dict[str, Any]) -> object:
    value = entry.get(key)
    if key == "value" and isinstance(value, str) and not isinstance(_json_or_text(value), str):
        return f'"{value}"'  # tells the text 3 from the number
    if key == "value" and value is None:
        return "null"
    return value


def _tell_set(kind: str, name: str, space: str, as_json: bool) -> None:
    if as_json:
        output.write_json({"name": name, "space": space})
    else:
        output.write_line(f"set {kind} {name} in space {space}")


def _json_or_text(text: str) -> Any:
    try:
        return arguments.json_value(text)
    except ValueError:
        return text


def _standard_input(what: str) -> str:
    content = arguments.bounded_input(INPUT_MAX_BYTES, what)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise usage(f"cannot use {what} that is not UTF-8; encode it, in base64 for example") from None
    # An editor or echo adds one line end; a second one belongs to the value.
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
