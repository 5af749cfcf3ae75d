"""What ``cellblock serve`` does: settings, the administrator's token, then the warden until SIGTERM.

It imports nothing of typer.
"""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from supervisor import server_log
from supervisor.cli import output
from supervisor.cli.serving.notify import Notifier
from supervisor.domains import judged
from supervisor.settings.plain_sources import load
from supervisor.warden.jail.probes import probe_host
from supervisor.warden.launch import front_standby, zygote_prestart, zygote_standby
from supervisor.warden.startup.start_check import TIER_WORDS, tier_to_serve_in

log = logging.getLogger("cellblock.server")


class ServeOptions(NamedTuple):
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
        given = {name: value for name, value in self._asdict().items() if name not in ("config", "examples")}
        return {name: value.absolute() if isinstance(value, Path) else value for name, value in given.items()}


def run(options: ServeOptions) -> None:
    """Serve until SIGTERM.  ConfigurationError for settings or a host that cannot be used."""
    front, launcher = front_standby.begun(), zygote_standby.begun()
    notifier = Notifier()
    given = options.as_settings()
    settings = load(options.config, **given)
    server_log.configure(settings.log_level, settings.log_format)
    if warning := judged(settings.functions_domain, settings.public_url).warning:
        log.warning("%s", warning)
    findings = probe_host()  # before any thread starts, because the probes fork
    tier = tier_to_serve_in(settings, findings)
    first_zygotes = zygote_prestart.begin(launcher, settings, tier)
    # The warden's imports run while the first zygotes make theirs.
    import asyncio

    from supervisor.warden.admin_token import TOKEN_FILE, token_of
    from supervisor.warden.warden import Warden

    token = token_of(settings)
    token_file = None if settings.admin_token is not None else settings.data_dir / TOKEN_FILE
    warden = Warden(
        settings, token, tier, findings, lambda: load(options.config, **given), front, first_zygotes
    )

    async def ready() -> None:
        url = _url(*warden.address)
        if token.is_new and token_file is not None:
            _say(_about(token_file, token.text))
        _say(f"tier {tier.value}: {TIER_WORDS[tier]}")
        _say(f"ready on {url}")
        notifier.tell("READY=1", f"STATUS=tier {tier.value}, {url}")
        if options.examples is not None:
            pid = _welcome(url, options.examples.absolute(), token.text, token_file)
            warden.children.adopt(pid, lambda _: None)

    # The objects that the imports made stay for good.
    gc.freeze()
    gc.enable()
    asyncio.run(warden.run(ready))


def _about(token_file: Path, token: str) -> str:
    """Where the new token lies; itself only where a person looks on, not a journal or a file."""
    if sys.stdout.isatty():
        return f"admin token, shown once and kept in {token_file}: {token}"
    return f"admin token made; it lies in {token_file}, which only this user can read"


def _say(line: str) -> None:
    output.write_line(f"cellblock: {line}")
    sys.stdout.flush()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _welcome(url: str, examples: Path, token: str, token_file: Path | None) -> int:
    """Deploy the examples from a process of its own, as a tenant would; its pid."""
    given = [] if token_file is None else [str(token_file)]
    # Not asyncio's own subprocess: the warden reaps all children itself.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "supervisor.cli.serving.welcome", url, str(examples), *given],
        env={**os.environ, "CELLBLOCK_TOKEN": token},
        stdin=subprocess.DEVNULL,
    )
    process.returncode = 0
    return process.pid
