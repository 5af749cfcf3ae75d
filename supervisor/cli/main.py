"""The commands of ``cellblock``, and running one of them.

Rule 1: importing this module and building the commands imports neither httpx nor rich nor any module of the
server, so that ``cellblock version`` and completion are instant.  A command imports its needs when it runs.
Rule 2: an expected failure is one line on stderr and an exit code of :mod:`supervisor.cli.command_errors`; a
traceback is a defect of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from supervisor import __version__
from supervisor.cli import output
from supervisor.cli.command_errors import USAGE, usage
from supervisor.cli.commands import activity_commands, function_commands, value_commands
from supervisor.cli.commands.deploy_command import deploy
from supervisor.cli.commands.invoke_command import invoke
from supervisor.cli.commands.layers_command import layers
from supervisor.cli.commands.log_commands import logs
from supervisor.cli.exits import ended
from supervisor.cli.parameters import BEFORE, Json, Url, before_the_command, target
from supervisor.cli.tenants import space_commands
from supervisor.cli.tenants.audit_command import audit
from supervisor.cli.watching.top_command import top

PROBE_SECONDS = 2.0  # short: ``version`` works without a server, too

# How the command parser says what an option takes, and how we say it.
_PLAIN_WORDS = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "it takes a whole number",
    "Input should be a valid number, unable to parse string as a number": "it takes a number",
    "Input should be ": "it has to be ",
    "Got unexpected extra argument(s) ": "Cannot take so many arguments: one too many is ",
}

_SERVER = "Run a server"
_DEPLOYED = "Functions"
_SPACE = "Values"
_TENANTS = "Tenants"


def _alone(name: str, command: Callable[..., Any]) -> Any:
    """A command that is a function, as click wants it."""
    alone = typer.Typer(add_completion=False)
    alone.command(name)(command)
    return get_command(alone)


def _load_serve() -> Any:
    from supervisor.cli.serving.serve_command import serve

    return _alone("serve", serve)


def _load_check() -> Any:
    from supervisor.cli.checking.check_command import check

    return _alone("check", check)


def _load_token() -> Any:
    from supervisor.cli.commands.token_command import app as token

    return get_group(token)


def _load_backup() -> Any:
    from supervisor.cli.commands.backup_commands import backup

    return _alone("backup", backup)


def _load_restore() -> Any:
    from supervisor.cli.commands.backup_commands import restore

    return _alone("restore", restore)


def _load_runtimes() -> Any:
    from supervisor.runtimes.runtime_commands import app as runtimes

    return get_group(runtimes)


def _load_setup() -> Any:
    from supervisor.runtimes.runtime_commands import setup

    return _alone("setup", setup)


# Commands of the server's side: their modules are imported when they are called, not for `cellblock --help`.
LAZY = {
    "serve": (_load_serve, "Start a server in the foreground."),
    "setup": (_load_setup, "Fetch the functions' libraries, once, before the first start."),
    "check": (_load_check, "Audit this host for a server, with a deploy and a call."),
    "token": (_load_token, "Replace the administrator's token."),
    "backup": (_load_backup, "Write all that the server keeps to one file, while it serves."),
    "restore": (_load_restore, "Make a data directory of a backup."),
    "runtimes": (_load_runtimes, "Install and list the functions' Python environments."),
}


class LazyGroup(TyperGroup):
    """The root group: replaces a command of LAZY by the real one when it is called or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that ``args`` name."""
        if args and args[0] in LAZY:
            self.load(args[0])
        found = super().resolve_command(ctx, args)
        _refuse_useless(ctx, *found)
        return found

    def load(self, name: str) -> None:
        """Put the real command in the place of its stand-in."""
        command = LAZY[name][0]()
        command.name = name
        self.commands[name] = command


def _refuse_useless(context: Any, name: str | None, command: Any, rest: Sequence[str]) -> None:
    """CommandFailure for an option before a command that does not take it: silence would be a lie."""
    path = [str(name)]
    while isinstance(command, TyperGroup):
        word = next((word for word in rest if word in command.commands), None)
        if word is None:
            return  # the group itself refuses what is no command
        path.append(word)
        command = command.commands[word]
    taken = {parameter.name for parameter in command.params}
    for parameter in context.command.params:
        if parameter.name in BEFORE and context.params.get(parameter.name) and parameter.name not in taken:
            raise usage(
                f"cannot use {parameter.opts[0]}: cellblock {' '.join(path)} takes none; leave it out"
            )


app = typer.Typer(
    cls=LazyGroup,
    callback=before_the_command,
    help="Host Python functions, each in a sandbox of its own: run a server, deploy, invoke.",
    epilog="Which server: --url and --token, else CELLBLOCK_URL and CELLBLOCK_TOKEN, else config.toml in the "
    "user's configuration directory.  Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no server.",
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
    pretty_exceptions_enable=False,
)


def _stand_in() -> None:
    raise AssertionError("LazyGroup puts the real command in this one's place")


for _name, (_, _summary) in LAZY.items():
    app.command(_name, help=_summary, rich_help_panel=_SERVER)(_stand_in)
app.command("layers", rich_help_panel=_SERVER)(layers)
app.command("top", rich_help_panel=_SERVER)(top)
app.command("instances", rich_help_panel=_SERVER)(activity_commands.instances)
app.command("renew", rich_help_panel=_SERVER)(activity_commands.renew)
app.command("deploy", rich_help_panel=_DEPLOYED)(deploy)
app.command("invoke", rich_help_panel=_DEPLOYED)(invoke)
app.command("logs", rich_help_panel=_DEPLOYED)(logs)
app.add_typer(function_commands.app, name="functions", rich_help_panel=_DEPLOYED)
app.command("code", rich_help_panel=_DEPLOYED)(function_commands.code)
app.add_typer(value_commands.secrets, name="secrets", rich_help_panel=_SPACE)
app.add_typer(value_commands.variables, name="variables", rich_help_panel=_SPACE)
app.add_typer(space_commands.app, name="spaces", rich_help_panel=_TENANTS)
app.command("audit", rich_help_panel=_TENANTS)(audit)


@app.command("version", rich_help_panel=_SERVER)
def version(
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Print the version of this command and, if it can be reached, of the server.

    Examples:

      cellblock version
      cellblock version --json
    """
    from supervisor.cli.client.http_client import server_version

    server = target(url, None)
    found = server_version(server, PROBE_SECONDS)
    if as_json:
        output.write_json({"client": __version__, "server": found, "url": server.url})
        return
    output.write_line(f"cellblock {__version__}")
    output.write_line(f"server {found} at {server.url}" if found else f"no server at {server.url}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` (default: the process's) name; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return ended(lambda: _run(given))


def _plain(message: str) -> str:
    """A message of the command parser in plain words."""
    for theirs, ours in _PLAIN_WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _run(given: Sequence[str]) -> Any:
    try:
        return get_command(app).main(given or ["--help"], prog_name="cellblock", standalone_mode=False)
    except typer.TyperException as error:  # wrong arguments
        message = _plain(error.format_message().rstrip("."))
        if not message.strip():  # a group without a command, whose help was printed already
            return USAGE
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "cellblock"
        raise usage(f"{message[:1].lower()}{message[1:]}; see '{path} --help'") from None
    except typer.Abort:  # the end of input, or Ctrl-C, at a question
        raise KeyboardInterrupt from None
