"""The servers that are compared: started once on free ports of loopback, idle while others are measured."""

from __future__ import annotations

import base64
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.workloads import FUNCTIONS, WORKLOADS, Workload

ROOT = Path(__file__).resolve().parent.parent
PEER_PYTHON = ROOT / ".venv-bench/bin/python"
TOKEN = "bench-token-0123456789abcdef"
SPACE = "demo"  # which every server has from its first start
READY_SECONDS = 60.0
STOP_SECONDS = 40.0
LOG_TAIL_CHARS = 2000


class StartError(Exception):
    """A server that did not come up; the message has the end of its log."""


@dataclass(frozen=True)
class Endpoint:
    """Where a workload is to be found: its URL, and the process whose tree serves it."""

    url: str
    pid: int


@dataclass(frozen=True)
class Contestant:
    """One column of the table."""

    key: str
    title: str
    endpoints: Mapping[str, Endpoint]


@contextmanager
def everybody(scratch: Path, fronts: int) -> Iterator[list[Contestant]]:
    """All contestants, checked to give right answers; all stopped at the end."""
    with ExitStack() as stack:
        found = []
        for count, key, title, options in (
            (1, "cellblock-1", "Cellblock, 1 front", ()),
            (fronts, f"cellblock-{fronts}", f"Cellblock, {fronts} fronts", ()),
            # The same without any containment: what the sandbox costs a warm call.
            (1, "cellblock-unconfined", "Cellblock, 1 front, --insecure-dev", ("--insecure-dev",)),
        ):
            server = stack.enter_context(cellblock(scratch / key, count, *options))
            for workload in WORKLOADS:
                server.deploy(workload.name, workload.source)
            endpoints = {each.name: Endpoint(server.url_of(each.name), server.pid) for each in WORKLOADS}
            found.append(Contestant(key, title, endpoints))
        for count in (1, fronts):
            endpoints = {
                each.name: stack.enter_context(_peer(scratch, each.name, count)) for each in WORKLOADS
            }
            found.append(
                Contestant(f"framework-{count}", f"functions-framework, {_workers(count)}", endpoints)
            )
        bare = stack.enter_context(_bare(scratch))
        found.append(Contestant("bare", "bare gunicorn echo", {each.name: bare for each in WORKLOADS}))
        for contestant in found:
            for workload in WORKLOADS:
                _check(contestant, workload)
        yield found


def _workers(count: int) -> str:
    return f"{count} worker" + "s" * (count > 1)


def _check(contestant: Contestant, workload: Workload) -> None:
    answer = httpx.post(
        contestant.endpoints[workload.name].url,
        content=workload.body,
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        timeout=30.0,
    )
    if answer.status_code != 200 or not workload.is_right(answer.content):
        raise StartError(
            f"{contestant.title} answers {workload.title} wrongly: {answer.status_code} {answer.text[:300]}"
        )


# ---- ours -----------------------------------------------------------------------------------


class Cellblock:
    """``cellblock serve`` as a stranger would start it, with its default settings."""

    def __init__(self, url: str, pid: int, log: Path) -> None:
        self.url = url
        self.pid = pid
        self.log = log

    def url_of(self, name: str) -> str:
        """Where a function is called."""
        return f"{self.url}/spaces/{SPACE}/functions/{name}/invoke"

    def deploy(self, name: str, source: Path, **options: Any) -> None:
        """Create the function."""
        code = base64.b64encode(source.read_bytes()).decode()
        answer = httpx.post(
            f"{self.url}/spaces/{SPACE}/functions",
            json={"name": name, "template": "python3-http", "source": {"code": code}, "options": options},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60.0,
        )
        if answer.status_code != 201:
            raise StartError(f"cannot deploy {name}: {answer.status_code} {answer.text[:300]}")


@contextmanager
def cellblock(data_dir: Path, fronts: int, *options: str, **settings: str) -> Iterator[Cellblock]:
    """A server with an empty data directory of its own; ``options`` are further ones of ``serve``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    environment["CELLBLOCK_ADMIN_TOKEN"] = TOKEN
    environment |= {f"CELLBLOCK_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "supervisor.cli", "serve", "--data-dir", str(data_dir)]
    command += ["--bind", "127.0.0.1:0", "--workers", str(fronts), *options]
    log = data_dir.with_suffix(".log")
    with _running(command, environment, log, subprocess.PIPE) as process:
        yield Cellblock(_announced_url(process, log), process.pid, log)


def _announced_url(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + READY_SECONDS
    descriptor, text = process.stdout.fileno(), b""
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([descriptor], [], [], left)
        data = os.read(descriptor, 4096) if readable else b""
        if not data:
            break
        text += data
        *lines, _ = text.decode().split("\n")
        for line in lines:
            if line.startswith("cellblock: ready on "):
                return line.rpartition(" ")[2]
    raise StartError(f"cellblock did not get ready: {text.decode()}{_tail(log)}")


# ---- the others -----------------------------------------------------------------------------


@contextmanager
def _peer(scratch: Path, function: str, workers: int) -> Iterator[Endpoint]:
    """functions-framework: its defaults but for the number of workers (which is 1 by default)."""
    if not PEER_PYTHON.exists():
        raise StartError(f"{PEER_PYTHON} is not there: run `make bench`, which makes it")
    port = _free_port()
    command = [str(PEER_PYTHON), "-m", "functions_framework", "--host=127.0.0.1", f"--port={port}"]
    command += [f"--source={FUNCTIONS / 'peer.py'}", f"--target={function}"]
    environment = {**os.environ, "WORKERS": str(workers)}
    log = scratch / f"framework-{function}-{workers}.log"
    with _running(command, environment, log, subprocess.DEVNULL) as process:
        _wait_for_port(process, port, log)
        yield Endpoint(f"http://127.0.0.1:{port}/", process.pid)


@contextmanager
def _bare(scratch: Path) -> Iterator[Endpoint]:
    port = _free_port()
    log = scratch / "bare.log"
    command = [sys.executable, "-m", "bench.bare", str(port)]
    with _running(command, dict(os.environ), log, subprocess.DEVNULL) as process:
        _wait_for_port(process, port, log)
        yield Endpoint(f"http://127.0.0.1:{port}/", process.pid)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"{process.args!r} exited with {process.returncode}{_tail(log)}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise StartError(f"{process.args!r} does not listen after {READY_SECONDS:g} s{_tail(log)}")


# ---- processes ------------------------------------------------------------------------------


@contextmanager
def _running(
    command: list[str], environment: dict[str, str], log: Path, stdout: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own (Ctrl-C is ours to handle), ended by its pid."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _tail(log: Path) -> str:
    return "\n" + log.read_text(errors="replace")[-LOG_TAIL_CHARS:]
