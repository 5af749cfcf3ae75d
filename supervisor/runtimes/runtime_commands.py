"""``cellblock setup`` and ``cellblock runtimes``: install and list the runtimes of this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from supervisor.errors import ConfigurationError
from supervisor.runtimes.install import install_runtime, missing_system_library
from supervisor.runtimes.interpreters import discover_interpreters, own_runtime_name
from supervisor.runtimes.runtime_record import RUNTIME_NAMES, read_record, runtime_of
from supervisor.settings import plain_sources

# Below the environment's own folder, where pyproject.toml has a wheel put them.
EXAMPLES_FOLDER = "share/cellblock/examples"

app = typer.Typer(no_args_is_help=True, help="Install and list what functions run on.")

Config = Annotated[
    Path | None, typer.Option("--config", help="the server's settings file", show_default=False)
]


@app.command("install")
def install(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="such as python3.11; default: every Python found", show_default=False),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="all libraries, not only in the default runtime")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="install even what is up to date")] = False,
    config: Config = None,
) -> None:
    """Install the libraries of the runtimes: the default one in full, the others lean.

    What is up to date is left alone.  A server that is running keeps what it has until it restarts.
    """
    settings = plain_sources.load(config)
    default = settings.default_runtime or own_runtime_name()
    found = {interpreter.name: interpreter for interpreter in discover_interpreters()}
    wanted = list(dict.fromkeys(names or [default, *(name for name in found if name != default)]))
    for name in wanted:
        if name not in RUNTIME_NAMES:
            raise ConfigurationError(f"there is no runtime {name!r}: known are {', '.join(RUNTIME_NAMES)}")
        if name not in found:
            raise ConfigurationError(
                f"cannot install runtime {name}: no such Python runs here; "
                f"found: {', '.join(found) or 'none'}"
            )
    in_full = False
    for name in wanted:
        before = read_record(settings.runtimes_dir, name)
        # A runtime once installed in full stays full, because functions may need its libraries.
        is_full = full or name == default or bool(before and before.full)
        in_full = in_full or is_full
        install_runtime(found[name], settings.runtimes_dir, full=is_full, again=again)
    caution = missing_system_library() if in_full else None
    if caution:
        typer.echo(f"caution: {caution}", err=True)


def setup(
    config: Config = None,
) -> None:
    """Fetch what a server needs beside its package: the default runtime's libraries, some 130 MB, once.

    It says what it does on stderr, takes a minute or so, and does nothing where all is there already.  The
    folder is the setting runtimes_dir.

    Example: cellblock setup && cellblock serve
    """
    settings = plain_sources.load(config)
    install([settings.default_runtime or own_runtime_name()], config=config)
    folder = _examples()
    typer.echo(f"next: cellblock serve{f' --examples {folder}' if folder else ''}", err=True)


def _examples() -> Path | None:
    """The examples that came with the package, if any did."""
    folder = Path(sys.prefix, EXAMPLES_FOLDER)
    return folder if folder.is_dir() else None


@app.command("list")
def list_runtimes(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False, config: Config = None
) -> None:
    """List the installed runtimes and the Pythons found; the default runtime is marked."""
    settings = plain_sources.load(config)
    default = settings.default_runtime or own_runtime_name()
    found = {interpreter.name: interpreter for interpreter in discover_interpreters()}
    rows = []
    for name in RUNTIME_NAMES:
        record = read_record(settings.runtimes_dir, name)
        runtime = runtime_of(settings.runtimes_dir, record) if record else None
        if runtime is None and name not in found:
            continue
        rows.append(
            {
                "name": name,
                "default": name == default,
                "installed": runtime is not None,
                "version": runtime.version if runtime else found[name].version,
                "python": str(runtime.python if runtime else found[name].python),
                "libraries": record.library_count if record and runtime else 0,
                "full": bool(runtime and runtime.full),
            }
        )
    if as_json:
        json.dump({"data": rows}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    if not rows:
        typer.echo("No supported Python was found: install one of " + ", ".join(RUNTIME_NAMES), err=True)
    for row in rows:
        kind = "not installed" if not row["installed"] else "full" if row["full"] else "lean"
        mark = "*" if row["default"] else " "
        typer.echo(f"{mark} {row['name']:<11} {row['version']:<8} {kind:<13} {row['python']}")
