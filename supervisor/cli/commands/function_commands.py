"""``cellblock functions …`` and ``cellblock code``: deployed functions and their versions."""

from __future__ import annotations

import base64
import binascii
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import refused, usage
from supervisor.cli.commands.resources import all_pages, as_object, remove_and_tell
from supervisor.cli.parameters import Json, Space, Token, Url, before_the_command, connect
from supervisor.cli.versions.version_commands import label, rollback, versions

app = typer.Typer(
    no_args_is_help=True,
    callback=before_the_command,
    help="List, show and remove functions; go back to an earlier version.",
)

app.command("versions")(versions)
app.command("rollback")(rollback)
app.command("label")(label)

Name = Annotated[str, typer.Argument(help="The function.", metavar="NAME", show_default=False)]


@app.command("list")
def list_functions(space: Space = None, as_json: Json = False, url: Url = None, token: Token = None) -> None:
    """List the functions of a space.

    Examples:

      cellblock functions list
      cellblock functions list --space demo --json
    """
    client = connect(url, token, space)
    functions = all_pages(client, client.in_space("functions"))
    if as_json:
        output.write_json(functions)
        return
    rows = [
        (
            entry.get("name"),
            entry.get("status"),
            entry.get("template"),
            entry.get("version"),
            _replicas(entry),
            entry.get("updated_at"),
        )
        for entry in functions
    ]
    columns = ("NAME", "STATUS", "RUNTIME", "VERSION", "READY", "UPDATED")
    output.write_table(columns, rows, f"no functions in space {client.target.space}")


@app.command("show")
def show(
    name: Name, space: Space = None, as_json: Json = False, url: Url = None, token: Token = None
) -> None:
    """Show one function: its state, options and limits.

    Examples:

      cellblock functions show hello
    """
    client = connect(url, token, space)
    function = as_object(client.get(client.in_space("functions", name)))
    if as_json:
        output.write_json(function)
        return
    facts: list[tuple[str, object]] = []
    for key, value in function.items():
        if isinstance(value, dict) and value:
            facts.extend((f"{key}.{inner}", inner_value) for inner, inner_value in value.items())
        else:
            facts.append((key, value))
    facts.append(("invoke", client.in_space("functions", name, "invoke")))
    output.write_facts([(output.safe(key), value) for key, value in facts])


@app.command("rm")
def remove(
    names: Annotated[list[str], typer.Argument(help="The functions.", metavar="NAME...", show_default=False)],
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Remove functions with all their versions.  There is no way back.

    Examples:

      cellblock functions rm hello
    """
    remove_and_tell("functions", names, connect(url, token, space), as_json)


def code(
    name: Name,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to FILE instead of standard output.", metavar="FILE"),
    ] = None,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Fetch a function's code: the text of its handler.py, or a zip if it is more than that.

    Examples:

      cellblock code hello
      cellblock code shop -o shop.zip
    """
    from supervisor.cli.client.http_client import CODE_MAX_BYTES

    client = connect(url, token, space)
    answer = as_object(client.get(client.in_space("functions", name, "code"), max_bytes=CODE_MAX_BYTES))
    try:
        content = base64.b64decode(answer.get("code", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise refused(
            f"the server's code of {name} is not base64; check that it is a Cellblock server"
        ) from None
    is_zip = content.startswith(b"PK\x03\x04")
    if out is not None:
        _write_file(out, content)
    if as_json:
        output.write_json({"name": name, "kind": "zip" if is_zip else "handler.py", "code": answer["code"]})
    elif out is None:
        if is_zip and sys.stdout.isatty():
            raise usage(
                f"the code of {name} is a zip; write it to a file: cellblock code {name} -o {name}.zip"
            )
        writer = output.BodyWriter(sys.stdout)
        writer.write(content)
        writer.close()


def _write_file(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise usage(f"cannot write {path}: {reason}") from None


def _replicas(function: dict[str, Any]) -> str:
    metrics = function.get("metrics")
    if not isinstance(metrics, dict):
        return "-"
    return f"{output.as_text(metrics.get('available_replicas'))}/{output.as_text(metrics.get('replicas'))}"
