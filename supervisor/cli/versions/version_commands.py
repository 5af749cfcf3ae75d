"""``cellblock versions``, ``rollback`` and ``functions label``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import refused, usage
from supervisor.cli.commands.resources import all_pages, as_object
from supervisor.cli.parameters import Json, Space, Token, Url, connect

FunctionName = Annotated[str, typer.Argument(help="The function.", metavar="NAME", show_default=False)]
VersionNumber = Annotated[
    int, typer.Argument(help="The version.", metavar="VERSION", min=1, show_default=False)
]
IfVersion = Annotated[
    int | None,
    typer.Option("--if-version", help="Only if this is the active version now.", metavar="VERSION", min=1),
]


def versions(
    name: FunctionName, space: Space = None, as_json: Json = False, url: Url = None, token: Token = None
) -> None:
    """List a function's versions; the active one is marked.

    Examples:

      cellblock functions versions hello
    """
    client = connect(url, token, space)
    found = all_pages(client, client.in_space("functions", name, "versions"))
    if as_json:
        output.write_json(found)
        return
    rows = [
        (
            entry.get("version"),
            "active" if entry.get("active") is True else "",
            entry.get("label") or "",
            _aliases(entry),
            entry.get("template"),
            entry.get("created_at"),
            output.as_text(entry.get("digest"))[:12],
            entry.get("description") or "",
        )
        for entry in found
    ]
    columns = ("VERSION", "", "LABEL", "ALIASES", "RUNTIME", "CREATED", "DIGEST", "DESCRIPTION")
    output.write_table(columns, rows, f"no versions of {name}")


def rollback(
    name: FunctionName,
    version: Annotated[
        int | None,
        typer.Argument(
            help="The version; else the one before the active.",
            metavar="VERSION",
            min=1,
            show_default=False,
        ),
    ] = None,
    if_version: IfVersion = None,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make an earlier version of a function the active one again.

    Aliases go on calling what they call.

    Examples:

      cellblock functions rollback hello
      cellblock functions rollback hello 3 --if-version 5
    """
    client = connect(url, token, space)
    wanted = {} if version is None else {"version": version}
    etag = None
    if if_version is not None:
        before, etag = client.get_tagged(client.in_space("functions", name))
        require_version(as_object(before), if_version, name)
    address = client.in_space("functions", name, "rollback")
    function = as_object(client.send("POST", address, wanted, if_match=etag))
    if as_json:
        output.write_json(function)
    else:
        active = output.as_text(function.get("version"))
        output.write_line(f"function {name} in space {client.target.space} is at version {active}")


def label(
    name: FunctionName,
    version: VersionNumber,
    text: Annotated[
        str | None,
        typer.Argument(help="The label, such as v1.4.2.", metavar="LABEL", show_default=False),
    ] = None,
    remove_it: Annotated[bool, typer.Option("--remove", help="Take the label away.")] = False,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Give a version of a function a label, which lists show.

    Examples:

      cellblock functions label shop 7 v1.4.2
      cellblock functions label shop 7 --remove
    """
    if (text is None) != remove_it:
        raise usage("give either a LABEL or --remove")
    client = connect(url, token, space)
    address = client.in_space("functions", name, "versions", str(version), "label")
    if text is None:
        client.send("DELETE", address)
    else:
        client.send("PUT", address, {"label": text})
    if as_json:
        output.write_json({"name": name, "version": version, "label": text})
    elif text is None:
        output.write_line(f"version {version} of {name} has no label")
    else:
        output.write_line(f"version {version} of {name} is {output.safe(text)}")


def require_version(found: dict[str, Any], wanted: int, what: str) -> None:
    """CommandFailure (refused) if ``found`` is at another version than ``--if-version`` says."""
    if found.get("version") != wanted:
        now = output.as_text(found.get("version"))
        raise refused(f"{what} is at version {now}, not {wanted}: nothing was done; look at what changed")


def _aliases(version: dict[str, Any]) -> str:
    found = version.get("aliases")
    return ", ".join(map(output.as_text, found)) if isinstance(found, list) else ""
