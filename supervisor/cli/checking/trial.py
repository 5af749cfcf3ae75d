"""A server of its own, in a scratch data directory, that deploys a function and calls it.

It has the settings of the server that is to run, but for a free port of loopback, one front, and no blank
cells.  Whatever it makes is gone afterwards.
"""

from __future__ import annotations

import base64
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from supervisor.cli.client.connection_config import ServerTarget
from supervisor.cli.client.http_client import Client
from supervisor.cli.command_errors import CommandFailure
from supervisor.settings.declarations import PREFIX, Settings
from supervisor.settings.shared_settings import EMBEDDED_STORE
from supervisor.warden.audit import CAUTION, FAIL, PASS, AuditLine
from supervisor.warden.cells import uid_pool
from supervisor.warden.jail import id_maps

WHAT = "deploy and call"
HANDLER = b"def handle(req):\n    return {'body': req.body.decode()[::-1]}\n"
BODY, ANSWER = "skcolb", "blocks"
# A start takes half a second, on a busy machine ten times as much.
START_SECONDS = 60.0
DEPLOY_SECONDS = 30.0
STOP_SECONDS = 15.0
# Where this package is, so that the server is of the same version.
OWN_CODE = str(Path(__file__).resolve().parents[3])
READY = "cellblock: ready on "
# What cannot be started is tried again and again, and each time is an error in the log.
ERRORS_MOST = 3
LOOK_EVERY_S = 0.5
LOG_MOST_BYTES = 1 << 20
LINE_MOST_CHARS = 400


class TrialFailed(Exception):
    """The server did not start, or refused; the text says which."""


def perform(settings: Settings, config: Path | None) -> AuditLine:
    """Deploy and call; PASS with how long it took, or FAIL with the server's own words."""
    began = time.monotonic()
    try:
        folder = Path(tempfile.mkdtemp(prefix=".cellblock-check-", dir=_parent_of(settings.data_dir)))
    except OSError as error:
        return AuditLine(FAIL, WHAT, f"no scratch folder: {error}", "make data_dir writable: see above")
    try:
        folder.chmod(0o755)  # in tier B cells pass through it
        with tempfile.TemporaryFile() as log:
            try:
                _perform(settings, config, folder / "data", log)
            except (TrialFailed, CommandFailure) as failure:
                last = _last_words(log)
                found = f"{failure}; the server said: {last}" if last else str(failure)
                remedy = "change what FAIL or CAUTION says above; else compare with deploy/cellblock.service"
                return AuditLine(FAIL, WHAT, found, remedy)
    except OSError as error:
        return AuditLine(FAIL, WHAT, f"no server could be started: {error}", "see above")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        return AuditLine(CAUTION, WHAT, f"answered, but {folder} is left", "remove it")
    return AuditLine(PASS, WHAT, f"answered within {time.monotonic() - began:.1f} s")


def _parent_of(data_dir: Path) -> Path:
    """Where the data directory is, so that mounts and file systems are the same."""
    folder = data_dir
    while not folder.exists():
        folder = folder.parent
    return folder


def _perform(settings: Settings, config: Path | None, data_dir: Path, log: IO[bytes]) -> None:
    token = secrets.token_urlsafe(32)
    mapped = id_maps.read()
    ids = uid_pool.cell_ids(data_dir, None, uid_pool.front_ids(settings.user, mapped)[0], mapped)
    variables = {
        "ADMIN_TOKEN": token,
        "BLANK_CELLS": "0",
        "PRELOAD": "[]",
        # In the scratch directory, too: in the database of the server that is to run nothing is changed.
        "STORE_URL": EMBEDDED_STORE,
        # Ids of its own, for the server that is to run may be running.
        "CELL_UID_BASE": str(ids.start),
    }
    command = [sys.executable, "-P", "-m", "supervisor.cli", "serve", "--data-dir", str(data_dir)]
    command += ["--bind", "127.0.0.1:0", "--workers", "1"]
    if config is not None:
        command += ["--config", str(config)]
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env={
            **os.environ,
            **{PREFIX + name: value for name, value in variables.items()},
            "PYTHONPATH": OWN_CODE,
        },
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        client = Client(ServerTarget(_url_of(server.stdout.fileno(), log), token, "default"))
        source = {"code": base64.b64encode(HANDLER).decode()}
        _deploy_and_call(client, {"name": "check", "source": source})
    finally:
        _stop(server)


def _deploy_and_call(client: Client, function: dict[str, object]) -> None:
    try:
        client.send("POST", client.in_space("functions"), function, DEPLOY_SECONDS)
    except CommandFailure as failure:
        raise TrialFailed(f"the deploy failed: {failure.message}") from None
    address = client.in_space("functions", "check", "invoke")
    with client.stream("POST", address, [], BODY.encode(), DEPLOY_SECONDS) as response:
        answer = response.read().decode(errors="replace")
    if (response.status_code, answer) != (200, ANSWER):
        raise TrialFailed(f"the call was answered {response.status_code}: {answer[:LINE_MOST_CHARS]}")


def _url_of(stdout: int, log: IO[bytes]) -> str:
    """The server's address, once it says that it is ready."""
    deadline = time.monotonic() + START_SECONDS
    text = b""
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([stdout], [], [], min(left, LOOK_EVERY_S))
        data = os.read(stdout, 4096) if readable else b""
        if readable and not data:
            raise TrialFailed("the server ended before it was ready")
        text += data
        for line in text.decode(errors="replace").splitlines(keepends=True):
            if line.startswith(READY) and line.endswith("\n"):
                return line[len(READY) :].strip()
        if sum(" ERROR " in line for line in _lines(log)) >= ERRORS_MOST:
            raise TrialFailed("the server cannot start its processes")
    raise TrialFailed(f"the server was not ready within {START_SECONDS:g} s")


def _stop(server: subprocess.Popen[bytes]) -> None:
    assert server.stdout is not None
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    server.stdout.close()


def _last_words(log: IO[bytes]) -> str:
    """The first error of its log, which the others follow from, without the time; else the last line."""
    said = _lines(log)
    errors = [line for line in said if " ERROR " in line or line.startswith("cellblock: ")]
    last = errors[0] if errors else said[-1] if said else ""
    return last.partition(" ERROR ")[2][:LINE_MOST_CHARS] or last[:LINE_MOST_CHARS]


def _lines(log: IO[bytes]) -> list[str]:
    """The log so far; the server writes at the end of the same file, so its place is never moved."""
    text = os.pread(log.fileno(), LOG_MOST_BYTES, 0).decode(errors="replace")
    return [line.strip() for line in text.split("\n") if line.strip()]
