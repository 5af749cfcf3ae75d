"""``cellblock aliases …``: the names that versions are called by."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import usage
from supervisor.cli.commands.resources import all_pages, as_object
from supervisor.cli.parameters import Json, Space, Token, Url, before_the_command, connect
from supervisor.cli.versions.version_commands import FunctionName, VersionNumber, require_version

app = typer.Typer(
    no_args_is_help=True,
    callback=before_the_command,
    help="Names of versions that are called as NAME@ALIAS: set, list and remove them.",
)

AliasName = Annotated[
    str, typer.Argument(help="The alias, such as prod.", metavar="ALIAS", show_default=False)
]
Canary = Annotated[
    int | None,
    typer.Option("--canary", help="A second version, for a share of the calls.", metavar="VERSION", min=1),
]
Share = Annotated[
    float | None,
    typer.Option(
        "--share", help="Percent of the calls for the canary.", metavar="PERCENT", min=0.01, max=100
    ),
]
IfAliased = Annotated[
    int | None,
    typer.Option("--if-version", help="Only if the alias names this version now.", metavar="VERSION", min=1),
]


@app.command("set")
def set_alias(
    name: FunctionName,
    alias: AliasName,
    version: VersionNumber,
    canary: Canary = None,
    share: Share = None,
    if_version: IfAliased = None,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Have an alias name a version.  The next call of NAME@ALIAS is served by it.

    With --canary and --share a second version serves a part of the calls:
    by the header X-Canary-Key where a caller sends one, else at random.
    Without them the version serves all calls.

    Examples:

      cellblock aliases set shop prod 7
      cellblock aliases set shop prod 7 --canary 8 --share 5
      cellblock aliases set shop prod 8 --if-version 7
    """
    if (canary is None) != (share is None):
        raise usage("give --canary and --share together: the second version, and its percentage")
    client = connect(url, token, space)
    address = client.in_space("functions", name, "aliases", alias)
    etag = None
    if if_version is not None:
        before, etag = client.get_tagged(address)
        require_version(as_object(before), if_version, f"{name}@{alias}")
    wanted: dict[str, Any] = {"version": version}
    if canary is not None:
        wanted["canary"] = {"version": canary, "share": share}
    made = as_object(client.send("PUT", address, wanted, if_match=etag))
    if as_json:
        output.write_json(made)
    else:
        output.write_line(f"{name}@{alias} in space {client.target.space} calls {_names(made)}")


@app.command("list")
def list_aliases(
    name: FunctionName, space: Space = None, as_json: Json = False, url: Url = None, token: Token = None
) -> None:
    """List the aliases of a function.

    Examples:

      cellblock aliases list shop
    """
    client = connect(url, token, space)
    found = all_pages(client, client.in_space("functions", name, "aliases"))
    if as_json:
        output.write_json(found)
        return
    rows = [(each.get("name"), _names(each), each.get("updated_at")) for each in found]
    output.write_table(("ALIAS", "CALLS", "UPDATED"), rows, f"no aliases of {name}")


@app.command("rm")
def remove(
    name: FunctionName,
    alias: AliasName,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Remove an alias.  Calls of it are refused from then on; its version stays.

    Examples:

      cellblock aliases rm shop beta
    """
    client = connect(url, token, space)
    client.send("DELETE", client.in_space("functions", name, "aliases", alias))
    if as_json:
        output.write_json({"removed": [alias]})
    else:
        output.write_line(f"removed {name}@{alias} from space {client.target.space}")


def _names(alias: dict[str, Any]) -> str:
    """What an alias calls, in words."""
    version = f"version {output.as_text(alias.get('version'))}"
    canary = alias.get("canary")
    if not isinstance(canary, dict):
        return version
    share = output.as_text(canary.get("share"))
    return f"{version}, and {share} % of its calls version {output.as_text(canary.get('version'))}"
