"""``cellblock deploy``: makes a function of a file, a folder or an archive."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import arguments, output
from supervisor.cli.command_errors import refused
from supervisor.cli.commands.bundle_packing import Bundle, default_name, read_bundle
from supervisor.cli.parameters import Json, Space, Token, Url, connect

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

DEFAULT_TEMPLATE = "python3-http"  # the server's default runtime

Source = Annotated[
    Path,
    typer.Argument(
        help="A .py file, a folder with a handler.py, a zip or a tar.", metavar="PATH", show_default=False
    ),
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option: timeout, memory, public …; repeatable.", metavar="KEY=VALUE"),
]


def deploy(
    path: Source,
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="The function's name; else made of PATH.", metavar="NAME"),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime", "-r", help="Such as python3.12; else the server's default.", metavar="RUNTIME"
        ),
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="A sentence for people.", metavar="TEXT")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", help="An environment variable; repeatable.", metavar="K=V"),
    ] = None,
    settings: Setting = None,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a function of PATH, or a new version of it.

    When the function exists, what is not given stays as it is; --env
    replaces all environment variables there were, --set all options.

    A folder is sent without __pycache__, .git, .venv and what its
    .cellblockignore lists (a file name pattern a line).

    Examples:

      cellblock deploy shop/
      cellblock deploy hello.py --name greet --set timeout=30
      cellblock deploy shop/ --runtime python3.12 --env REGION=eu
    """
    bundle = read_bundle(path)
    chosen = name if name is not None else default_name(path)
    wanted = source_of(bundle)
    given: dict[str, Any] = {
        "template": runtime,
        "description": description,
        "env": arguments.pairs(env, "--env") if env else None,
        "options": arguments.options(settings) if settings else None,
    }
    wanted.update({key: value for key, value in given.items() if value is not None})
    client = connect(url, token, space)
    function, created = create_or_update(client, chosen, wanted, bundle)
    address = client.in_space("functions", chosen, "invoke")
    warnings = function.get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        output.fail_line(f"warning: {output.as_text(warning)}")
    if as_json:
        output.write_json({"created": created, "url": address, "function": function})
    else:
        _tell(client, chosen, function, created, address)


def source_of(bundle: Bundle) -> dict[str, Any]:
    """The part of a deploy's body that every deploy has: the code."""
    return {"source": {"code": base64.b64encode(bundle.content).decode("ascii")}}


def create_or_update(
    client: Client, name: str, wanted: dict[str, Any], bundle: Bundle
) -> tuple[dict[str, Any], bool]:
    """Deploy the function; its JSON, and whether it is new.

    ``wanted`` is the request's body without the name; what it leaves out stays as it was.  A syntax error is
    reported with the line of the author's own file.  CommandFailure for everything that goes wrong.
    """
    from supervisor.cli.client.http_client import DEPLOY_SECONDS, RequestRefused

    one = client.in_space("functions", name)  # comes first, because it refuses an empty name
    try:
        try:
            first = {"name": name, "template": DEFAULT_TEMPLATE, **wanted}
            answer = client.send("POST", client.in_space("functions"), first, DEPLOY_SECONDS)
            created = True
        except RequestRefused as error:
            if error.status != 409:
                raise
            answer = client.send("PUT", one, wanted, DEPLOY_SECONDS)
            created = False
    except RequestRefused as error:
        line = error.details.get("line")
        if isinstance(line, int):
            raise refused(f"{bundle.handler}:{line}: {error.message}") from None
        raise
    return (answer if isinstance(answer, dict) else {}), created


def _tell(client: Client, name: str, function: dict[str, Any], created: bool, address: str) -> None:
    verb = "created" if created else "updated"
    version = output.as_text(function.get("version"))
    template = output.as_text(function.get("template"))
    output.write_line(
        f"{verb} function {name} in space {client.target.space}: version {version}, runtime {template}"
    )
    output.write_line(f"  {address}")
    options = function.get("options")
    is_public = isinstance(options, dict) and options.get("public") is True
    credential = "" if is_public else '-H "Authorization: Bearer $CELLBLOCK_TOKEN" '
    output.write_line(f"  curl {credential}-d 'hello' {shlex.quote(address)}")
