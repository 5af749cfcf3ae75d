"""Makes the data directory of a released version: `python -m tests.upgrade.make VERSION COMMIT`, as root.

A worktree of the commit serves with today's interpreter and libraries; the requests below are answered; the
server ends; its data directory, without what a start makes anew, is kept in ``tests/upgrade/data``.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import select
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from supervisor.bundles.whole_mark import WHOLE_MTIME
from tests.support.packing import zipped
from tests.support.server import REPOSITORY, TOKEN

READY_S = 120
FIRST = b"def handle(req):\n    return {'body': 'first'}\n"
SECOND = (
    b"from function import secrets, variables\n\n\n"
    b"def handle(req):\n"
    b"    return {'body': 'second ' + secrets.get('KEY') + ' ' + variables.get('region')}\n"
)
PACKAGE = zipped(
    ("handler.py", b"from parts import said\n\n\ndef handle(req):\n    return {'body': said.TEXT}\n"),
    ("parts/__init__.py", b""),
    ("parts/said.py", "TEXT = 'a package, ü'\n".encode()),
    ("run.sh", b"#!/bin/sh\n"),
    modes={"run.sh": 0o100755},
)


def main(version: str, commit: str) -> None:
    """Make ``data/VERSION.tar.gz``."""
    with tempfile.TemporaryDirectory() as folder:
        old, data = Path(folder) / "old", Path(folder) / "data"
        subprocess.run(["git", "worktree", "add", "--detach", old, commit], cwd=REPOSITORY, check=True)
        try:
            filled(old, data)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", old], cwd=REPOSITORY, check=True)
        target = Path(__file__).parent / "data" / f"{version}.tar.gz"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(packed(data))


def filled(old: Path, data: Path) -> None:
    """Have the server of ``old`` answer what the tests expect to find in ``data``."""
    environment = {**os.environ, "CELLBLOCK_ADMIN_TOKEN": TOKEN}
    run = "import sys; from supervisor.cli.main import main; sys.exit(main())"
    python = interpreter(old, data.with_name("venv"))
    environment["CELLBLOCK_RUNTIMES_DIR"] = f"{sys.prefix}/share/cellblock/runtimes"
    command = [str(python), "-P", "-c", run, "serve", "--data-dir", str(data)]
    server = subprocess.Popen(
        [*command, "--bind", "127.0.0.1:0", "--workers", "1"],
        cwd=old, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = ready(server)
        functions = f"{url}/spaces/demo/functions"
        value = {"value": "eu-west-1"}
        asked("PUT", f"{url}/spaces/demo/variables/region", value)
        asked("PUT", f"{url}/spaces/demo/secrets/KEY", {"value": "s3cret"})
        asked("POST", functions, {"name": "hello", **source(FIRST)})
        asked("PUT", f"{functions}/hello", source(SECOND))
        asked("POST", functions, {"name": "package", "options": {"timeout": 2.5}, **source(PACKAGE)})
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(READY_S)


def interpreter(old: Path, folder: Path) -> Path:
    """A virtual environment with today's libraries, in which the packages are those of ``old``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    libraries = Path(sysconfig.get_path("purelib"))
    ours = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for entry in libraries.iterdir():
        if not entry.name.startswith(("__editable__", "cellblock")) and entry.suffix != ".pth":
            subprocess.run(["cp", "-a", entry, ours], check=True)
    (ours / "old.pth").write_text(f"{old}\n")
    return folder / "bin/python"


def ready(server: subprocess.Popen[bytes]) -> str:
    assert server.stdout is not None
    deadline, text = time.monotonic() + READY_S, b""
    while b"ready on " not in text or not text.endswith(b"\n"):
        assert time.monotonic() < deadline and server.poll() is None, text
        if select.select([server.stdout], [], [], 1.0)[0]:
            text += os.read(server.stdout.fileno(), 4096)
    return text.split(b"ready on ")[1].split()[0].decode()


def source(code: bytes) -> dict[str, object]:
    return {"source": {"code": base64.b64encode(code).decode()}}


def asked(method: str, url: str, body: object) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {url}: {error.code} {error.read().decode()}") from None


def packed(data: Path) -> bytes:
    """The durable part of a data directory: the store with its WAL, the key, the bundles, the token."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for path in sorted(data.rglob("*")):
            name = str(path.relative_to(data))
            if path.is_dir() or (path.is_file() and not name.startswith(("run/", "front/logs/"))):
                info = archive.gettarinfo(path, name)
                # That of a bundle's folder says that it is whole, from 0.9 on.
                info.mtime = WHOLE_MTIME if int(info.mtime) == WHOLE_MTIME else 0
                info.uname = info.gname = ""
                with path.open("rb") if path.is_file() else io.BytesIO() as file:
                    archive.addfile(info, file if path.is_file() else None)
    return gzip.compress(plain.getvalue(), 9, mtime=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
