"""The options of ``cellblock serve`` for typer; ``supervisor.cli.serving.serve`` does the work.

``supervisor.cli.serving.plain_arguments`` reads the same options without typer, for a quick start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    data_dir: Annotated[Path | None, typer.Option(help="Folder for everything durable.")] = None,
    bind: Annotated[str | None, typer.Option(help="HOST:PORT of the HTTP server.")] = None,
    workers: Annotated[int | None, typer.Option(help="Front processes.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; every one is in docs/settings.md.")
    ] = None,
    runtimes_dir: Annotated[Path | None, typer.Option(help="Folder of the installed runtimes.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    insecure_dev: Annotated[
        bool | None,
        typer.Option("--insecure-dev", help="No containment at all; on loopback, for development."),
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="Deploy each folder in here into space demo, and say what to type.")
    ] = None,
) -> None:
    """Start the server and stay in the foreground; SIGTERM or Ctrl-C drains it, SIGHUP reads settings again.

    Every setting is also a CELLBLOCK_* variable and a line of the TOML file, in this order:
    option, variable, file, default.

    Example: cellblock serve --data-dir /var/lib/cellblock --bind 127.0.0.1:8080 --workers 2
    """
    from supervisor.cli.serving.serve import ServeOptions, run

    options = ServeOptions(
        data_dir=data_dir,
        bind=bind,
        workers=workers,
        config=config,
        runtimes_dir=runtimes_dir,
        log_level=log_level,
        insecure_dev=insecure_dev,
        examples=examples,
    )
    run(options)
