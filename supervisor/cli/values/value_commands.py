"""``cellblock secrets …`` and ``cellblock variables …``: the values that a space's functions can read."""

from __future__ import annotations

import sys
from pathlib import Path
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


Functions = Annotated[
    list[str] | None,
    typer.Option("--function", metavar="NAME", help="Only this function gets it; repeat for others."),
]
EveryFunction = Annotated[bool, typer.Option("--every-function", help="Every function of the space gets it.")]
NoFunction = Annotated[bool, typer.Option("--no-function", help="No function gets it.")]
ValueFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Read the value from this file.")
]


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
    file: ValueFile = None,
    function: Functions = None,
    every_function: EveryFunction = False,
    no_function: NoFunction = False,
    with_space: CreateSpace = False,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Set a secret.  The next call of the functions that get it sees it.

    Without VALUE it is asked for twice and not shown.  Of standard input
    and a file one line end at the very end does not count.  A VALUE on the command line
    can be seen by other users and stays in the shell's history.

    Without --function, --every-function or --no-function those functions get
    it that have it now; a new one is for every function of the space.

    Examples:

      cellblock secrets set API_KEY
      cellblock secrets set API_KEY --function pay --function refund
      cellblock secrets set TLS_KEY - < key.pem
      cellblock secrets set TLS_KEY --file key.pem
    """
    client = connect(url, token, space)
    address = client.in_space("secrets", name)
    given = _allowed(function, every_function, no_function)
    if file is not None:
        text = _of_file(file, value, "a secret")
    elif value == "-":
        text = _standard_input("a secret")
    elif value is not None:
        text = value
    elif sys.stdin.isatty():
        text = typer.prompt(
            f"Value of {output.safe(name)}", hide_input=True, confirmation_prompt="Once more", err=True
        )
    else:
        raise usage(
            f"a value for {name} is missing; give - to read standard input, --file FILE, or the value itself"
        )
    if with_space:
        create_space(client)
    client.send("PUT", address, {"value": text, **given})
    if value not in (None, "-"):
        output.fail_line(f"other users may have seen the value of {name}: leave it out to be asked, or use -")
    _tell_set("secret", name, client.target.space, as_json)


@variables.command("set")
def set_variable(
    name: Name,
    value: Annotated[
        str | None,
        typer.Argument(help="JSON or text; - reads standard input.", metavar="VALUE", show_default=False),
    ] = None,
    file: ValueFile = None,
    text: Annotated[bool, typer.Option("--text", help="Take VALUE as text even if it is JSON.")] = False,
    function: Functions = None,
    every_function: EveryFunction = False,
    no_function: NoFunction = False,
    with_space: CreateSpace = False,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Set a variable.  The next call of the functions that get it sees it.

    VALUE is JSON if it can be read as JSON, else text: 3 is a number,
    '"3"' and --text 3 are text.  Which functions get it is said as for a
    secret.

    Examples:

      cellblock variables set REGION eu-west-1
      cellblock variables set LIMITS '{"low": 1, "high": 9}'
      cellblock variables set LIMITS --file limits.json --function pay
      cellblock variables set VERSION 1.10 --text
    """
    client = connect(url, token, space)
    address = client.in_space("variables", name)
    allowed = _allowed(function, every_function, no_function)
    if file is not None:
        given = _of_file(file, value, "a variable")
    elif value is None:
        raise usage(f"a value for {name} is missing; give it, - to read standard input, or --file FILE")
    else:
        given = _standard_input("a variable") if value == "-" else value
    body = {"value": given if text else _json_or_text(given), **allowed}
    if with_space:
        create_space(client)
    client.send("PUT", address, body)
    _tell_set("variable", name, client.target.space, as_json)


@secrets.command("list")
def list_secrets(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """List the names of a space's secrets.

    Examples:

      cellblock secrets list
    """
    columns = ("NAME", "FUNCTIONS", "UPDATED")
    _list("secrets", columns, ("name", "functions", "updated_at"), space, as_json, url, token)


@variables.command("list")
def list_variables(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """List a space's variables with their values.

    Examples:

      cellblock variables list --json
    """
    columns = ("NAME", "VALUE", "FUNCTIONS", "UPDATED")
    _list("variables", columns, ("name", "value", "functions", "updated_at"), space, as_json, url, token)


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
    if key == "functions":
        return "all" if value is None else ", ".join(map(str, value)) or "none"
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


def _allowed(
    functions: list[str] | None, every_function: bool, no_function: bool
) -> dict[str, list[str] | None]:
    """What the request says of the functions that get the value; nothing where no option does."""
    if bool(functions) + every_function + no_function > 1:
        raise usage("--function, --every-function and --no-function exclude one another; give one of them")
    if every_function:
        return {"functions": None}
    return {"functions": functions or []} if functions or no_function else {}


def _of_file(path: Path, value: str | None, what: str) -> str:
    if value is not None:
        raise usage("a value and --file exclude one another; give one of them")
    try:
        with path.open("rb") as file:
            content = file.read(INPUT_MAX_BYTES + 1)
    except OSError as error:
        raise usage(f"cannot read {path}: {error.strerror}") from None
    if len(content) > INPUT_MAX_BYTES:
        raise usage(f"cannot use {what}: {path} has more than {VALUE_MAX_BYTES} bytes")
    return _text(content, what)


def _standard_input(what: str) -> str:
    return _text(arguments.bounded_input(INPUT_MAX_BYTES, what), what)


def _text(content: bytes, what: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise usage(f"cannot use {what} that is not UTF-8; encode it, in base64 for example") from None
    # An editor or echo adds one line end; a second one belongs to the value.
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
