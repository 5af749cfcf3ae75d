"""The options that most commands share, before or after the command, and the server that they lead to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli.client.connection_config import config_path, read_config, resolve_target
from supervisor.cli.tenants.space_names import complete_space

if TYPE_CHECKING:
    from supervisor.cli.client.connection_config import ServerTarget
    from supervisor.cli.client.http_client import Client

_SERVER_PANEL = "Server"


def _or_before(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """The option's value, else that of the same option before the command's name."""
    parent = context.parent
    while not value and parent is not None:
        value = parent.params.get(str(parameter.name)) or value
        parent = parent.parent
    return value


Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="The server; else CELLBLOCK_URL, config.toml, or http://127.0.0.1:8080.",
        metavar="URL",
        rich_help_panel=_SERVER_PANEL,
        callback=_or_before,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        help="The bearer token; better CELLBLOCK_TOKEN or config.toml, which other users cannot see.",
        metavar="TOKEN",
        rich_help_panel=_SERVER_PANEL,
        callback=_or_before,
    ),
]
Space = Annotated[
    str | None,
    typer.Option(
        "--space",
        "-s",
        help="The space; else CELLBLOCK_SPACE, config.toml, or 'default'.",
        metavar="SPACE",
        rich_help_panel=_SERVER_PANEL,
        callback=_or_before,
        autocompletion=complete_space,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.", callback=_or_before)]
# Their names as parameters: what may stand before a command's name.
BEFORE = ("url", "token", "space", "as_json")
CreateSpace = Annotated[
    bool, typer.Option("--create-space", help="Make the space if there is none of that name.")
]


def before_the_command(
    url: Url = None, token: Token = None, space: Space = None, as_json: Json = False
) -> None:
    """The options that may stand before a command's name; the command's own options find them."""


def target(url: str | None, token: str | None, space: str | None = None) -> ServerTarget:
    """The server, token and space that the options, the environment and the configuration file name."""
    return resolve_target(url, token, space, os.environ, read_config(config_path()))


def connect(url: str | None, token: str | None, space: str | None = None) -> Client:
    """A client of :func:`target`."""
    from supervisor.cli.client.http_client import Client

    return Client(target(url, token, space))
