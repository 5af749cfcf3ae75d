"""``cellblock token``: replaces the administrator's token of a server on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import usage
from supervisor.settings.plain_sources import load

app = typer.Typer(help="Replace the administrator's token.", no_args_is_help=True)


@app.callback()
def token() -> None:
    """Replace the administrator's token of the server on this machine."""


@app.command("rotate")
def rotate(
    data_dir: Annotated[Path | None, typer.Option(help="The server's folder for everything durable.")] = None,
    config: Annotated[Path | None, typer.Option(help="The server's TOML file of settings.")] = None,
) -> None:
    """Make a new token; when this command ends, every front has it and the old one is refused.

    Run it on the server's machine as the user that starts the server.  The token lies in
    DATA_DIR/admin-token (0600), and is printed to a terminal only.  Running calls go on.

    Example: sudo cellblock token rotate --data-dir /var/lib/cellblock
    """
    from supervisor.warden import token_rotation

    settings = load(config, data_dir=data_dir.absolute() if data_dir else None)
    if settings.admin_token is not None:
        raise usage(
            "cannot rotate the admin token: the setting admin_token gives it; change it there, "
            "then send the server SIGHUP (a variable: restart it)"
        )
    rotated = token_rotation.rotate(settings.data_dir)
    if rotated.is_served:
        output.write_line("the server has a new admin token, and refuses the old one")
    else:
        output.write_line("no server runs with this data directory; the next one has a new admin token")
    output.write_line(f"it lies in {rotated.file}, which only this user can read")
    if sys.stdout.isatty():
        output.write_line(rotated.token)
