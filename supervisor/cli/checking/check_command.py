"""``cellblock check``: audit this host before, or while, it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import REFUSED
from supervisor.cli.parameters import Json
from supervisor.settings.plain_sources import load


def check(
    data_dir: Annotated[Path | None, typer.Option(help="Folder for everything durable.")] = None,
    config: Annotated[Path | None, typer.Option(help="The server's TOML file of settings.")] = None,
    as_json: Json = False,
) -> None:
    """Audit this host for a server: PASS, CAUTION or FAIL, and what to do about it.

    Run it as the user that starts the server, and under its unit's directives or in its container: it
    tries what the server would do, and deploys and calls a function in a scratch data directory.
    The exit code is 1 when something fails.

    Example: cellblock check --data-dir /var/lib/cellblock
    """
    from supervisor.cli.checking import restrictions, store_check, trial
    from supervisor.warden.audit import FAIL, AuditLine, audit
    from supervisor.warden.jail.probes import probe_host

    settings = load(config, data_dir=data_dir.absolute() if data_dir else None)
    restricted, is_stopped = restrictions.found(settings)
    # What the audit reads may be what is hidden.
    checks = [*restricted] if is_stopped else [*audit(settings, probe_host()), *restricted]
    if settings.shared_store is not None and not is_stopped:
        checks.append(store_check.look(settings.shared_store))
    if is_stopped or any(one.status == FAIL for one in checks):
        checks.append(AuditLine(FAIL, trial.WHAT, "not tried", "change what FAIL names, then check again"))
    else:
        checks.append(trial.perform(settings, config))
    if as_json:
        output.write_json([vars(one) for one in checks])
    else:
        rows = [(one.status, one.what, one.found, one.remedy or "-") for one in checks]
        output.write_table(("STATUS", "WHAT", "FOUND", "REMEDY"), rows, "nothing was checked")
    if any(one.status == FAIL for one in checks):
        raise typer.Exit(REFUSED)
