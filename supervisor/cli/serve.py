"""``cellblock serve``: settings, the administrator's token, then the warden until SIGTERM."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.errors import ConfigurationError

if TYPE_CHECKING:
    from supervisor.settings import Settings

TOKEN_FILE = "admin-token"  # noqa: S105 - a file's name
TOKEN_BYTES = 32


def admin_token(settings: Settings) -> tuple[str, bool]:
    """The administrator's token, and whether it was generated just now.

    From the setting, else from ``data_dir/admin-token`` (0600), which is made once.
    """
    if settings.admin_token is not None:
        token = settings.admin_token.get_secret_value()
        if len(token) < 16:
            raise ConfigurationError("setting admin_token: a token has at least 16 characters")
        return token, False
    path = settings.data_dir / TOKEN_FILE
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o755)
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        token = ""
    if token:
        return token, False
    token = "cb_" + secrets.token_urlsafe(TOKEN_BYTES)
    temporary = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return token, True


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
    from supervisor.warden.jail import standby

    front = standby.begun()  # before all else: it imports while we do
    import asyncio  # this and what follows: heavy, and of no use to the other commands

    from supervisor import serverlog
    from supervisor.sources import load
    from supervisor.warden.admission import TIER_WORDS, admitted
    from supervisor.warden.jail.probes import probe_host
    from supervisor.warden.warden import Warden

    given = {
        "data_dir": data_dir.absolute() if data_dir else None,
        "bind": bind,
        "workers": workers,
        "runtimes_dir": runtimes_dir.absolute() if runtimes_dir else None,
        "log_level": log_level,
        "insecure_dev": insecure_dev,
    }
    settings = load(config, **given)
    serverlog.configure(settings.log_level, settings.log_format)
    findings = probe_host()  # before anything starts a thread: the probes fork
    tier = admitted(settings, findings)
    token, is_new = admin_token(settings)
    warden = Warden(settings, token, tier, findings, lambda: load(config, **given), front)

    async def ready() -> None:
        url = _url(*warden.address)
        if is_new:
            _say(f"admin token, shown once and kept in {settings.data_dir / TOKEN_FILE}: {token}")
        _say(f"tier {tier.value}: {TIER_WORDS[tier]}")
        _say(f"ready on {url}")
        if examples is not None:
            warden.children.adopt(_welcome(url, examples.absolute(), token), lambda _: None)

    asyncio.run(warden.run(ready))


def _say(line: str) -> None:
    typer.echo(f"cellblock: {line}")
    sys.stdout.flush()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _welcome(url: str, examples: Path, token: str) -> int:
    """Deploy the examples from a process of its own, as a tenant would; its pid."""
    # Not asyncio's own: the warden has the one loop that reaps.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "supervisor.cli.welcome", url, str(examples)],
        env={**os.environ, "CELLBLOCK_TOKEN": token},
        stdin=subprocess.DEVNULL,
    )
    process.returncode = 0
    return process.pid
