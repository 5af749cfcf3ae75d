"""``cellblock deploy``: makes a function of a file, a folder or an archive."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import arguments, output
from supervisor.cli.command_errors import refused, usage
from supervisor.cli.commands.bundle_packing import Bundle, default_name, read_bundle
from supervisor.cli.commands.deploy_wishes import Wanted, changes
from supervisor.cli.commands.resources import as_object, create_space
from supervisor.cli.parameters import CreateSpace, Json, Space, Token, Url, connect
from supervisor.cli.versions.version_commands import IfVersion, require_version
from supervisor.errors import shown

if TYPE_CHECKING:
    from supervisor.cli.client.http_client import Client

Source = Annotated[
    Path,
    typer.Argument(
        help="A .py file, a folder with a handler.py, a zip or a tar.", metavar="PATH", show_default=False
    ),
]
Name = Annotated[
    str | None,
    typer.Option("--name", "-n", help="The function's name; else made of PATH.", metavar="NAME"),
]
Runtime = Annotated[
    str | None,
    typer.Option("--runtime", "-r", help="Such as python3.12; else the server's default.", metavar="RUNTIME"),
]
Description = Annotated[
    str | None, typer.Option("--description", help="A sentence for people.", metavar="TEXT")
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", help="An environment variable; repeatable.", metavar="K=V"),
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option: timeout, memory, public …; repeatable.", metavar="KEY=VALUE"),
]
Unset = Annotated[
    list[str] | None,
    typer.Option("--unset", help="An option that takes its default again; repeatable.", metavar="KEY"),
]
UnsetEnv = Annotated[
    list[str] | None,
    typer.Option("--unset-env", help="An environment variable to remove; repeatable.", metavar="KEY"),
]
Labelled = Annotated[
    str | None,
    typer.Option("--label", help="The version's label, such as v1.4.2 or a commit.", metavar="LABEL"),
]
Reset = Annotated[
    bool, typer.Option("--reset", help="No option and no environment variable but those given here.")
]


def deploy(
    path: Source,
    name: Name = None,
    runtime: Runtime = None,
    description: Description = None,
    env: Env = None,
    settings: Setting = None,
    unset: Unset = None,
    unset_env: UnsetEnv = None,
    reset: Reset = False,
    with_space: CreateSpace = False,
    labelled: Labelled = None,
    if_version: IfVersion = None,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a function of PATH, or a new version of it.

    When the function exists, what is not given stays as it is: --set and
    --env change what they name.  --unset and --unset-env take one away,
    --reset all that this command does not name.  What changed is printed.
    The same content again makes no version, and that is said.

    A space that there is not is refused; --create-space makes it.

    A folder is sent without __pycache__, .git, .venv and what its
    .cellblockignore lists (a file name pattern a line).

    Examples:

      cellblock deploy shop/
      cellblock deploy hello.py --name greet --set timeout=30
      cellblock deploy shop/ --runtime python3.12 --env REGION=eu
      cellblock deploy shop/ --set memory=256 --unset timeout
      cellblock deploy shop/ --label v1.4.2 --if-version 7
    """
    bundle = read_bundle(path)
    chosen = name if name is not None else default_name(path)
    base = source_of(bundle) | {"template": runtime, "description": description, "label": labelled}
    options, variables = arguments.options(settings or ()), arguments.pairs(env or (), "--env")
    wanted = Wanted(
        {key: value for key, value in base.items() if value is not None},
        options,
        variables,
        _unset(unset, "--unset", options),
        _unset(unset_env, "--unset-env", variables),
        is_reset=reset,
        may_create_space=with_space,
    )
    client = connect(url, token, space)
    before, function = create_or_update(client, chosen, wanted, bundle, if_version)
    warnings = function.get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        output.fail_line(f"warning: {output.as_text(warning)}")
    (_tell_json if as_json else _tell)(client, chosen, before, function)


def _unset(names: list[str] | None, option: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    for name in names or ():
        if not name or "=" in name:
            raise usage(f"cannot use {option} {shown(name)}; write {option} KEY, without a value")
        if name in given:
            raise usage(f"cannot use {option} {name}: the same command sets it; leave one of the two out")
    return tuple(names or ())


def source_of(bundle: Bundle) -> dict[str, Any]:
    """The part of a deploy's body that every deploy has: the code."""
    return {"source": {"code": base64.b64encode(bundle.content).decode("ascii")}}


def create_or_update(
    client: Client, name: str, wanted: Wanted, bundle: Bundle, if_version: int | None = None
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Deploy the function; its JSON before, None if it is new, and after.

    ``if_version`` is the active version that it must have; then it is not made if there is none.

    A syntax error is reported with the line of the author's own file.  CommandFailure for everything that
    goes wrong.
    """
    from supervisor.cli.client.http_client import DEPLOY_SECONDS, RequestRefused

    one = client.in_space("functions", name)  # comes first, because it refuses an empty name
    try:
        try:
            if if_version is not None:
                return _update(client, one, wanted, name, if_version)
            if wanted.may_create_space:
                create_space(client)
            answer = client.send("POST", client.in_space("functions"), wanted.to_create(name), DEPLOY_SECONDS)
        except RequestRefused as error:
            if error.status != 409:
                raise
            return _update(client, one, wanted, name)
    except RequestRefused as error:
        line = error.details.get("line")
        if isinstance(line, int):
            raise refused(f"{bundle.handler}:{line}: {error.message}") from None
        raise
    return None, as_object(answer)


def _update(
    client: Client, one: str, wanted: Wanted, name: str, if_version: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Deploy a function that there is; its JSON before and after."""
    from supervisor.cli.client.http_client import DEPLOY_SECONDS

    found, etag = client.get_tagged(one)
    before = as_object(found)
    if if_version is not None:
        require_version(before, if_version, name)
    method, body = ("PUT", wanted.to_replace()) if wanted.is_reset else ("PATCH", wanted.to_merge())
    answer = client.send(method, one, body, DEPLOY_SECONDS, if_match=etag if if_version is not None else None)
    return before, as_object(answer)


def _tell_json(client: Client, name: str, before: dict[str, Any] | None, function: dict[str, Any]) -> None:
    output.write_json(
        {
            "created": before is None,
            "changed": None if before is None else changes(before, function),
            "url": client.in_space("functions", name, "invoke"),
            "function": function,
        }
    )


def _tell(client: Client, name: str, before: dict[str, Any] | None, function: dict[str, Any]) -> None:
    address = client.in_space("functions", name, "invoke")
    changed = [] if before is None else changes(before, function)
    version = output.as_text(function.get("version"))
    label = function.get("label")
    labelled = f" ({output.as_text(label)})" if label else ""
    where = f"function {name} in space {client.target.space}"
    if before is not None and not changed:
        output.write_line(f"nothing changed: version {version}{labelled} of {where} has this content")
    else:
        verb = "created" if before is None else "updated"
        template = output.as_text(function.get("template"))
        output.write_line(f"{verb} {where}: version {version}{labelled}, runtime {template}")
    if changed:
        output.write_line(f"  changed: {'; '.join(changed)}")
    output.write_line(f"  {address}")
    options = function.get("options")
    is_public = isinstance(options, dict) and options.get("public") is True
    credential = "" if is_public else '-H "Authorization: Bearer $CELLBLOCK_TOKEN" '
    output.write_line(f"  curl {credential}-d 'hello' {shlex.quote(address)}")
