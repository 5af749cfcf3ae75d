"""Deploys the examples: ``cellblock serve --examples DIR`` starts it with URL, DIR and the token's file.

It deploys each folder of DIR that has a handler.py into the space ``demo``, through the code of
``cellblock deploy``, and prints what to type next.  CELLBLOCK_TOKEN has the token, which is never
printed: what to type reads the file, or CELLBLOCK_TOKEN where a setting has the token.  An example that is
deployed already stays as it is; a changed one becomes a new version.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from supervisor.cli import output
from supervisor.cli.client.connection_config import DEFAULT_URL, ServerTarget, checked_token, checked_url
from supervisor.cli.command_errors import INTERRUPTED, OK, UNREACHABLE, USAGE, CommandFailure, usage
from supervisor.cli.commands.bundle_packing import HANDLER, default_name, read_bundle
from supervisor.cli.commands.deploy_command import create_or_update, source_of
from supervisor.cli.commands.deploy_wishes import Wanted
from supervisor.cli.commands.resources import all_pages

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

SPACE = "demo"
# The function that a newcomer is told to call first, and a body that it answers well.
FIRST, FIRST_BODY = "hello", '{"name": "Ada"}'
OTHER_BODY = "hello"
# Addresses that mean "all of this machine", and one that a client can connect to instead.
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - translated, not bound


def main(arguments: Sequence[str]) -> int:
    """Deploy and print; the exit code (``supervisor.cli.command_errors``)."""
    if len(arguments) not in (2, 3):
        output.fail_line(
            "usage: CELLBLOCK_TOKEN=TOKEN python -m supervisor.cli.serving.welcome URL DIR [TOKEN_FILE]"
        )
        return USAGE
    try:
        target = ServerTarget(_reachable(checked_url(arguments[0])), _token(), SPACE)
        return _welcome(target, Path(arguments[1]), Path(arguments[2]) if len(arguments) == 3 else None)
    except CommandFailure as error:
        return _end(error)
    except KeyboardInterrupt:  # the Ctrl-C that ends the server reaches this process too
        return INTERRUPTED


def _welcome(target: ServerTarget, folder: Path, token_file: Path | None) -> int:
    from supervisor.cli.client.http_client import Client

    client = Client(target)
    examples = _examples(folder)
    before = {
        entry.get("name"): entry.get("version") for entry in all_pages(client, client.in_space("functions"))
    }
    deployed: list[str] = []
    worst = OK
    for path in examples:
        try:
            deployed.append(_deploy(client, path, before))
        except CommandFailure as error:
            worst = max(worst, _end(CommandFailure(f"example {path.name}: {error.message}", error.exit_code)))
            if worst == UNREACHABLE:
                return worst  # the others would fail alike
    if deployed:
        for line in _what_to_type(client, FIRST if FIRST in deployed else deployed[0], token_file):
            output.write_line(line)
        sys.stdout.flush()
    return worst


def _deploy(client: Client, path: Path, before: dict[object, object]) -> str:
    name = default_name(path)
    bundle = read_bundle(path)
    earlier, function = create_or_update(client, name, Wanted(source_of(bundle)), bundle)
    version = function.get("version")
    if earlier is None:
        output.write_line(f"created function {name} in space {SPACE}")
    elif before.get(name) != version:
        output.write_line(f"updated function {name} in space {SPACE}: version {output.as_text(version)}")
    return name


def _examples(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if (path / HANDLER).is_file())
    except OSError as error:
        raise usage(f"cannot read the examples in {folder}: {error.strerror}; correct --examples") from None
    if not found:
        raise usage(
            f"cannot find an example in {folder}: no folder in it has a {HANDLER}; correct --examples"
        )
    return found


def _what_to_type(client: Client, name: str, token_file: Path | None) -> tuple[str, ...]:
    """Two commands that call ``name``, ready to type, and where to read on."""
    target = client.target
    body = shlex.quote(FIRST_BODY if name == FIRST else OTHER_BODY)
    # The shell reads the file: what a terminal shows is kept longer than one thinks.
    secret = f"$(cat {shlex.quote(_as_typed(token_file))})" if token_file else "$CELLBLOCK_TOKEN"
    export = f"export CELLBLOCK_TOKEN={secret}" if token_file else "export CELLBLOCK_TOKEN  # the admin token"
    where = client.in_space("functions", name, "invoke")
    url = "" if target.url == DEFAULT_URL else f" --url {target.url}"
    return (
        "",
        f"Call {name}:",
        "",
        f'  curl -H "Authorization: Bearer {secret}" -d {body} {where}',
        "",
        "or with the command, which also deploys functions of yours (see cellblock deploy --help):",
        "",
        f"  {export}",
        f"  {_command()} invoke {name} --space {SPACE} -d {body}{url}",
        "",
        f"All requests are described at {client.url('docs')}; Ctrl-C stops the server.",
    )


def _command() -> str:
    """The command ``cellblock`` as one can type it in the server's working directory."""
    if shutil.which("cellblock"):
        return "cellblock"
    return shlex.quote(_as_typed(Path(sys.executable).with_name("cellblock")))


def _as_typed(path: Path) -> str:
    """A path as short as one can type it in the server's working directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _reachable(url: str) -> str:
    parts = urlsplit(url)
    host = ANYWHERE.get(parts.hostname or "")
    return urlunsplit(parts._replace(netloc=f"{host}:{parts.port}")) if host and parts.port else url


def _token() -> str:
    token = os.environ.get("CELLBLOCK_TOKEN")
    if not token:
        raise usage("cannot deploy the examples without a token; set CELLBLOCK_TOKEN")
    return checked_token(token)


def _end(error: CommandFailure) -> int:
    sys.stdout.flush()  # output comes before the line on stderr
    output.fail_line(error.message)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
