"""What ``cellblock serve`` does: settings, the administrator's token, then the warden until SIGTERM.

It imports nothing of typer.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor import server_log
from supervisor.cli import output
from supervisor.domains import judged
from supervisor.errors import ConfigurationError
from supervisor.settings.declarations import Settings
from supervisor.settings.plain_sources import load
from supervisor.warden.jail.probes import probe_host
from supervisor.warden.launch import front_standby, zygote_prestart, zygote_standby
from supervisor.warden.start_check import TIER_WORDS, tier_to_serve_in

TOKEN_FILE = "admin-token"  # noqa: S105 - a file's name
TOKEN_BYTES = 32

log = logging.getLogger("cellblock.server")


def admin_token(settings: Settings) -> tuple[str, bool]:
    """The administrator's token, and whether it was generated just now.

    It comes from the setting, else from ``data_dir/admin-token`` (0600), which is made once.
    """
    if settings.admin_token is not None:
        token = settings.admin_token
        if len(token) < 16:
            raise ConfigurationError("setting admin_token: a token has at least 16 characters")
        return token, False
    try:
        return _kept_token(settings.data_dir / TOKEN_FILE)
    except OSError as error:
        raise ConfigurationError(
            f"cannot use the data directory {settings.data_dir}: {error.strerror} at {error.filename}; "
            "choose with --data-dir one that this user can make and write"
        ) from None


def _kept_token(path: Path) -> tuple[str, bool]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
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


@dataclass(frozen=True)
class ServeOptions:
    """The options of the command line; None for one that is not given."""

    data_dir: Path | None = None
    bind: str | None = None
    workers: int | None = None
    config: Path | None = None
    runtimes_dir: Path | None = None
    log_level: str | None = None
    insecure_dev: bool | None = None
    examples: Path | None = None

    def as_settings(self) -> dict[str, Any]:
        """The options that are settings, folders by their absolute paths."""
        given = {name: value for name, value in vars(self).items() if name not in ("config", "examples")}
        return {name: value.absolute() if isinstance(value, Path) else value for name, value in given.items()}


def run(options: ServeOptions) -> None:
    """Serve until SIGTERM.  ConfigurationError for settings or a host that cannot be used."""
    front, launcher = front_standby.begun(), zygote_standby.begun()
    given = options.as_settings()
    settings = load(options.config, **given)
    server_log.configure(settings.log_level, settings.log_format)
    if warning := judged(settings.functions_domain, settings.public_url).warning:
        log.warning("%s", warning)
    findings = probe_host()  # before any thread starts, because the probes fork
    tier = tier_to_serve_in(settings, findings)
    # Before anything starts that would complain of our end: the data directory may be unusable.
    token, is_new = admin_token(settings)
    first_zygotes = zygote_prestart.begin(launcher, settings, tier)
    # The warden's imports run while the first zygotes make theirs.
    import asyncio

    from supervisor.warden.warden import Warden

    warden = Warden(
        settings, token, tier, findings, lambda: load(options.config, **given), front, first_zygotes
    )

    async def ready() -> None:
        url = _url(*warden.address)
        if is_new:
            _say(f"admin token, shown once and kept in {settings.data_dir / TOKEN_FILE}: {token}")
        _say(f"tier {tier.value}: {TIER_WORDS[tier]}")
        _say(f"ready on {url}")
        if options.examples is not None:
            warden.children.adopt(_welcome(url, options.examples.absolute(), token), lambda _: None)

    # The objects that the imports made stay for good.
    gc.freeze()
    gc.enable()
    asyncio.run(warden.run(ready))


def _say(line: str) -> None:
    output.write_line(f"cellblock: {line}")
    sys.stdout.flush()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _welcome(url: str, examples: Path, token: str) -> int:
    """Deploy the examples from a process of its own, as a tenant would; its pid."""
    # Not asyncio's own subprocess: the warden reaps all children itself.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "supervisor.cli.serving.welcome", url, str(examples)],
        env={**os.environ, "CELLBLOCK_TOKEN": token},
        stdin=subprocess.DEVNULL,
    )
    process.returncode = 0
    return process.pid
