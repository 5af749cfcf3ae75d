"""A container of our image, under podman: as root, or as an ordinary user who has subordinate ids."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.support.eventually import eventually
from tests.support.server import TOKEN

IMAGE = os.environ.get("IMAGE", "localhost/cellblock:latest")
PLACE = "/var/lib/cellblock"
# For an image to be loaded, the longest that a command takes.
SECONDS = 110.0


class Engine:
    """podman, as this user or as ``user``."""

    def __init__(self, user: str | None, folder: Path) -> None:
        """``folder`` is for the engine's own configuration."""
        # crun refuses hosts with both versions of cgroups, and a host's limits may be below podman's.
        runtime = ["--runtime", "runc"] if Path("/sys/fs/cgroup/unified").is_dir() else []
        configuration = folder / "containers.conf"
        configuration.write_text("[containers]\ndefault_ulimits = []\n")
        folder.chmod(0o755)
        self._environment = {**os.environ, "CONTAINERS_CONF": str(configuration)}
        self._own: dict[str, Any] = {}
        if user is not None:
            entry = pwd.getpwnam(user)
            run_dir = folder / "run"
            run_dir.mkdir(mode=0o700)
            os.chown(run_dir, entry.pw_uid, entry.pw_gid)
            self._environment.update(HOME=entry.pw_dir, XDG_RUNTIME_DIR=str(run_dir), USER=user)
            self._own = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            runtime += ["--cgroup-manager", "cgroupfs"]
        self._command = ["podman", *runtime]

    def run(self, *arguments: str) -> str:
        """A command of podman's; its output."""
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            **self._own,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class Container:
    """A read-only container that serves, with one volume."""

    def __init__(self, engine: Engine, options: Sequence[str]) -> None:
        self._engine, self.name = engine, f"cellblock-{uuid.uuid4().hex[:8]}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        engine.run(
            *("run", "--detach", "--name", self.name, "--network", "host", "--read-only"),
            *("--ulimit", "nofile=16384:16384", "--ulimit", "nproc=16384:16384"),
            *("--volume", f"{self.name}:{PLACE}", "--env", f"CELLBLOCK_ADMIN_TOKEN={TOKEN}", *options),
            *(IMAGE, "cellblock", "serve", "--bind", f"127.0.0.1:{port}"),
        )
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
        )
        try:
            eventually(self._is_ready)
        except AssertionError:
            log = engine.run("logs", self.name)
            self.remove()
            raise AssertionError(f"the container did not get ready:\n{log}") from None

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def layers(self) -> dict[str, str]:
        """Layer → status; the tier by its name."""
        return layers_of(self.client)

    def stop(self) -> int:
        """SIGTERM to pid 1; its exit code."""
        self._engine.run("stop", "--time", "40", self.name)
        return int(json.loads(self._engine.run("inspect", self.name))[0]["State"]["ExitCode"])

    def remove(self) -> None:
        """Remove the container and its volume."""
        self.client.close()
        self._engine.run("rm", "--force", self.name)
        self._engine.run("volume", "rm", "--force", self.name)


def layers_of(client: httpx.Client) -> dict[str, str]:
    """Layer → status, as a server says it; the tier by its name."""
    found = client.get("/healthz?verbose").json()["layers"]
    return {each["layer"]: each["evidence"] if each["layer"] == "tier" else each["status"] for each in found}


def has_podman() -> bool:
    """Whether podman is there, and this user is root, who can become the other."""
    return shutil.which("podman") is not None and os.geteuid() == 0
