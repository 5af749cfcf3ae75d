"""``cellblock login``, ``logout`` and ``whoami``: which credential this user's commands have."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from supervisor.cli import arguments, output
from supervisor.cli.client.connection_config import EVERY_SPACE, TOKEN_MAX_CHARS, checked_token
from supervisor.cli.client.stored_logins import forget_login, keep_login, logins_path
from supervisor.cli.command_errors import usage
from supervisor.cli.commands.resources import as_object
from supervisor.cli.parameters import Json, Space, Token, Url, connect, target

INPUT_MAX_BYTES = TOKEN_MAX_CHARS + 2  # with the line end


def login(
    file: Annotated[
        Path | None,
        typer.Option(help="Read the token from this file; - is standard input.", metavar="FILE"),
    ] = None,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Keep a token for a server and space, once the server has taken it.

    The token is asked for and not shown, or read from a file or a pipe.
    It is never an argument, which other users could see.

    Examples:

      cellblock login --url https://functions.example.org
      cellblock login --file key.txt
    """
    from supervisor.cli.client.http_client import Client

    chosen = target(url, None, space)
    token = checked_token(_token(file, chosen.url))
    who = as_object(Client(replace(chosen, token=token)).get(f"{chosen.url}/whoami"))
    of_space = who.get("space")
    if of_space is not None and space not in (None, of_space):
        raise usage(
            f"this token is of space {output.safe(str(of_space))}; leave out --space, or name that one"
        )
    keep_login(logins_path(), chosen.url, str(of_space or EVERY_SPACE), token)
    if as_json:
        output.write_json(who)
    else:
        where = f"space {of_space}" if of_space is not None else "every space"
        output.write_line(f"logged in at {chosen.url} as {who.get('name')}, for {where}")


def logout(space: Space = None, as_json: Json = False, url: Url = None) -> None:
    """Forget the tokens for a server, or for one space of it.

    The server still takes them: 'cellblock keys remove' ends a key.

    Examples:

      cellblock logout
    """
    chosen = target(url, None, space)
    gone = forget_login(logins_path(), chosen.url, space)
    if as_json:
        output.write_json({"url": chosen.url, "forgotten": gone})
    elif gone:
        output.write_line(f"forgot the token for {chosen.url}: {', '.join(gone)}")
    else:
        output.write_line(f"there is no token for {chosen.url}")


def whoami(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Show whose credential the commands have, and what it may do.

    Examples:

      cellblock whoami
    """
    client = connect(url, token, space)
    who = as_object(client.get(client.url("whoami")))
    if as_json:
        output.write_json({"url": client.target.url, **who})
        return
    facts: list[tuple[str, object]] = [("server", client.target.url)]
    facts += [(output.safe(key), _words(value)) for key, value in who.items()]
    output.write_facts(facts)


def _words(value: Any) -> object:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    return "-" if value is None else value


def _token(file: Path | None, url: str) -> str:
    if file is not None and str(file) != "-":
        try:
            with file.open("rb") as opened:
                content = opened.read(INPUT_MAX_BYTES + 1)
        except OSError as error:
            raise usage(f"cannot read {file}: {error.strerror}") from None
    elif file is None and sys.stdin.isatty():
        asked: str = typer.prompt(f"Token for {output.safe(url)}", hide_input=True, err=True)
        return asked
    else:
        content = arguments.bounded_input(INPUT_MAX_BYTES, "a token")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise usage(
            "cannot use the token: it must be printable ASCII without blanks; copy it again"
        ) from None
