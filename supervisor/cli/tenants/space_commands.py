"""``cellblock spaces …``: the spaces of a server, most of it for its administrator."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import usage
from supervisor.cli.commands.resources import all_pages, as_object
from supervisor.cli.parameters import Json, Token, Url, before_the_command, connect
from supervisor.cli.tenants.space_names import complete_space

# Instances are ended and the store is rewritten within the answer.
DELETE_SECONDS = 120.0

app = typer.Typer(
    no_args_is_help=True,
    callback=before_the_command,
    help="Create, list, suspend and remove spaces, which functions and values are in.",
)

SpaceName = Annotated[
    str,
    typer.Argument(help="The space.", metavar="SPACE", show_default=False, autocompletion=complete_space),
]
NewName = Annotated[str, typer.Argument(help="Its name.", metavar="SPACE", show_default=False)]


@app.command("list")
def list_spaces(as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """List the spaces that you may see.

    Examples:

      cellblock spaces list
      cellblock spaces list --json
    """
    client = connect(url, token)
    spaces = all_pages(client, client.url("spaces"))
    if as_json:
        output.write_json(spaces)
        return
    rows = [(one.get("name"), _state(one), one.get("title"), one.get("created_at")) for one in spaces]
    output.write_table(("NAME", "STATE", "TITLE", "CREATED"), rows, "there are no spaces that you may see")


@app.command("create")
def create(
    name: NewName,
    title: Annotated[str, typer.Option("--title", help="What people call it.", metavar="TEXT")] = "",
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Create a space.

    Examples:

      cellblock spaces create acme --title 'Acme Ltd'
    """
    client = connect(url, token)
    made = as_object(client.send("POST", client.url("spaces"), {"name": name, "title": title}))
    _tell(made, f"created space {name}", as_json)


@app.command("show")
def show(name: SpaceName, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Show a space.

    Examples:

      cellblock spaces show acme
    """
    client = connect(url, token)
    space = as_object(client.get(client.url("spaces", name)))
    if as_json:
        output.write_json(space)
    else:
        output.write_facts([(output.safe(key), value) for key, value in space.items()])


@app.command("title")
def give_title(
    name: SpaceName,
    title: Annotated[str, typer.Argument(help="What people call it.", metavar="TITLE", show_default=False)],
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Give a space another title.  It keeps its name.

    Examples:

      cellblock spaces title acme 'Acme International'
    """
    _tell(_change(name, {"title": title}, url, token), f"space {name} has a new title", as_json)


@app.command("suspend")
def suspend(name: SpaceName, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Have a space answer no call.  Nothing of it is lost.

    Calls that run already finish, and its instances end.

    Examples:

      cellblock spaces suspend acme
    """
    _tell(_change(name, {"suspended": True}, url, token), f"suspended space {name}", as_json)


@app.command("resume")
def resume(name: SpaceName, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """Have a suspended space answer calls again, at once.

    Examples:

      cellblock spaces resume acme
    """
    _tell(_change(name, {"suspended": False}, url, token), f"resumed space {name}", as_json)


@app.command("remove")
def remove(
    name: SpaceName,
    confirm: Annotated[
        str, typer.Option("--confirm", help="The name again: nothing brings it back.", metavar="SPACE")
    ] = "",
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Remove a space with everything of it: functions, values, logs.

    Calls that run are ended.  Its lines in the audit stay.

    Examples:

      cellblock spaces remove acme --confirm acme
    """
    if confirm != name:
        raise usage(
            f"cannot remove space {output.safe(name)} without its name twice: everything of it goes, and "
            f"nothing brings it back; add --confirm {output.safe(name)}"
        )
    client = connect(url, token)
    client.send("DELETE", f"{client.url('spaces', name)}?confirm={name}", None, DELETE_SECONDS)
    _tell({"removed": [name]}, f"removed space {name} with everything of it", as_json)


def _change(name: str, change: dict[str, Any], url: str | None, token: str | None) -> dict[str, Any]:
    client = connect(url, token)
    return as_object(client.send("PUT", client.url("spaces", name), change))


def _tell(answer: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        output.write_json(answer)
    else:
        output.write_line(words)


def _state(space: dict[str, Any]) -> str:
    return "suspended" if space.get("suspended") is True else "active"
