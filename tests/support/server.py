"""A real server under test: started as a stranger would, ready when it says so, gone when we leave."""

from __future__ import annotations

import base64
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from supervisor.settings.declarations import Settings
from tests.support.eventually import SECONDS
from tests.support.file_events import wait_for_text
from tests.support.patience import FACTOR

REPOSITORY = Path(__file__).parents[2]
TOKEN = "test-token-0123456789abcdef"
CALL_SECONDS = 60.0
READY_SECONDS = 60.0
STOP_SECONDS = 60.0
SPACE = "demo"  # which every server has from its first start


class Server:
    """``cellblock serve`` on a free port of loopback, with a data directory of its own."""

    def __init__(
        self,
        data_dir: Path,
        workers: int = 2,
        *,
        python: Path | None = None,
        command: Path | None = None,
        uid: int | None = None,
        environment: dict[str, str] | None = None,
        wrap: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        """``python`` is another interpreter than this one, ``uid`` a user to start it as.

        ``command`` is an installed program ``cellblock``, to run instead of this checkout.

        ``wrap`` are the words of a program that becomes the server.
        With ``uid`` 0 it stays root, and what it needs can be reached by every user: see ``as_user``.
        """
        variables = dict(environment or {})
        self.data_dir = data_dir
        self.log_path = data_dir.with_suffix(".log")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
        environment.update(variables)
        environment["CELLBLOCK_ADMIN_TOKEN"] = TOKEN
        environment.setdefault("CELLBLOCK_FUNCTION_LOGS", "true")  # where most tests read what one wrote
        environment.setdefault("CELLBLOCK_CALL_REPORTS", "true")
        # As many blank cells before a test as after it: what a server holds is counted.
        environment.setdefault("CELLBLOCK_BLANK_CELLS_MOST", "0")
        if FACTOR != 1:  # until a cell has come
            environment.setdefault("CELLBLOCK_QUEUE_SECONDS", str(Settings().queue_seconds * FACTOR))
        for name, value in settings.items():
            if value is not None:  # else it is the file's to say
                environment[f"CELLBLOCK_{name.upper()}"] = str(value)
        program = [str(command)] if command else [str(python or sys.executable), "-m", "supervisor.cli"]
        words = [*program, "serve", "--data-dir", str(data_dir)]
        if uid is not None:
            data_dir.mkdir()
            os.chown(data_dir, uid, uid)
            environment["HOME"] = str(data_dir)
            paths = [str(data_dir), *(str(settings[name]) for name in ("runtimes_dir",) if name in settings)]
            if python:
                paths.append(str(python.parents[2]))
                environment["PYTHONPATH"] = str(REPOSITORY)  # after the working folder: for as_user only
            if command:
                paths += [str(command.parents[1]), str((command.parent / "python").resolve().parents[1])]
            words = [sys.executable, "-m", "tests.support.as_user", str(uid), *paths, "--", *words]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrap, *words, "--bind", "127.0.0.1:0", "--workers", str(workers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                # Where the packages are that it shall import: with -m the working folder comes first.
                cwd=python.parents[2] if python else REPOSITORY,
                start_new_session=True,  # a test may signal the whole group, as a terminal does
            )
        self.url = self._wait_until_ready()
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=CALL_SECONDS * FACTOR,
            limits=httpx.Limits(max_connections=None),
        )

    @property
    def pid(self) -> int:
        """The warden's pid."""
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything the server wrote to stderr so far."""
        return self.log_path.read_text(errors="replace")

    @property
    def log_bytes(self) -> int:
        """How long its log is now: where that of what comes next begins."""
        return self.log_path.stat().st_size

    def log_since(self, start: int) -> str:
        """Its log from byte ``start`` on."""
        with self.log_path.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def said(self, *texts: str, times: int = 1, since: int = 0, seconds: float = SECONDS) -> None:
        """Return once its log from byte ``since`` on has one of ``texts`` so often."""

        def has_said(log: str) -> bool:
            return any(log.count(text) >= times for text in texts)

        is_said = wait_for_text(self.log_path, since, has_said, seconds)
        assert is_said, f"the server did not say {' or '.join(texts)}:\n{self.log_since(since)}"

    def _wait_until_ready(self) -> str:
        assert self.process.stdout is not None
        deadline = time.monotonic() + READY_SECONDS
        text = b""
        descriptor = self.process.stdout.fileno()
        while time.monotonic() < deadline:
            readable, _, _ = select.select([descriptor], [], [], 1.0)
            data = os.read(descriptor, 4096) if readable else b""
            if readable and not data:
                break
            text += data
            for line in text.decode().splitlines():
                if line.startswith("cellblock: ready on ") and text.endswith(b"\n"):
                    return line.rpartition(" ")[2]
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"the server did not get ready:\n{text.decode()}\n{self.log}")

    def deploy(
        self,
        name: str,
        source: str | bytes,
        *,
        template: str = "python3-http",
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        """Create or update a function of space ``demo``; its JSON."""
        raw = source.encode() if isinstance(source, str) else source
        body = {
            "name": name,
            "template": template,
            "env": dict(env or {}),
            "options": options,
            "source": {"code": base64.b64encode(raw).decode()},
        }
        answer = self.client.post(f"/spaces/{SPACE}/functions", json=body)
        if answer.status_code == 409:
            answer = self.client.put(f"/spaces/{SPACE}/functions/{name}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def make_space(self, name: str) -> str:
        """Create a space, unless it is there; its name."""
        answer = self.client.post("/spaces", json={"name": name})
        assert answer.status_code in (201, 409), answer.text
        return name

    def call(self, name: str, tail: str = "", method: str = "POST", **keywords: Any) -> httpx.Response:
        """Invoke a function of space ``demo``."""
        return self.client.request(method, f"/spaces/{SPACE}/functions/{name}/invoke{tail}", **keywords)

    def run(self, name: str, source: str, **keywords: Any) -> httpx.Response:
        """Deploy and invoke in one."""
        self.deploy(name, source)
        return self.call(name, **keywords)

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
