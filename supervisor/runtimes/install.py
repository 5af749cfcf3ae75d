"""Installing a runtime's libraries: from a lock with hashes, by uv, and visible in one step.

Theory of operation.  Each installation goes into a new folder ``<runtimes_dir>/<name>/libraries-…``.  When
it is complete, bytecode included, a new ``runtime.json`` names it.  A crash before that leaves debris, never
half a runtime.  The folder that was in use stays until the next installation, because a running server still
imports from it; older ones are removed.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from uv import find_uv_bin

from supervisor.errors import ConfigurationError
from supervisor.runtimes.font_cache import make_font_list
from supervisor.runtimes.interpreters import Interpreter
from supervisor.runtimes.runtime_record import Runtime, RuntimeRecord, read_record, runtime_of, write_record

LOCKS = Path(__file__).with_name("locks")

# The full list is some 130 MB of downloads; half an hour still lets a slow line through.
INSTALL_SECONDS = 1800.0
# Another installer of the same runtime may take all of that time, and a little more.
LOCK_SECONDS = INSTALL_SECONDS + 60
# For some thirty files, on a machine under heavy load.
COMPILE_SECONDS = 120.0
# Our packages that each cell runs, on the function's interpreter.
OUR_PARTS = ("worker", "function")
# How long uv waits for a silent connection; its default of 30 s gives up on a busy mirror.
_HTTP_TIMEOUT_S = 120
_LOCK_RETRY_SECONDS = 0.2
_ERROR_LINES = 12  # uv's last lines, which an error message repeats

# uv reads none of pip's variables, but machines are set up with them.
_PIP_TO_UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
}


def install_runtime(
    interpreter: Interpreter, runtimes_dir: Path, *, full: bool, again: bool = False
) -> Runtime:
    """Install the libraries of ``interpreter``'s runtime, unless they are up to date.

    ``full`` chooses the 3.10 page's list instead of the lean one; ``again`` installs in any case.
    Progress goes to stderr.  Raises ConfigurationError if uv fails, if it takes longer than
    INSTALL_SECONDS, if another installer holds the runtime for LOCK_SECONDS, or if the disk refuses.
    """
    name = interpreter.name
    lock = LOCKS / ("full.txt" if full else "lean.txt")
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    try:
        folder = runtimes_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        with _held(folder / ".lock", LOCK_SECONDS):
            current = read_record(runtimes_dir, name)
            runtime = runtime_of(runtimes_dir, current) if current else None
            reason = why_install(current if runtime else None, interpreter, digest)
            _compile_ours(interpreter)
            if runtime is not None and reason is None and not again:
                _say(f"{name}: up to date")
            else:
                runtime = _install(interpreter, runtimes_dir, lock, digest, reason or "asked for", current)
            if not make_font_list(runtime.python, runtime.libraries):
                _say(f"{name}: caution: no list of fonts could be made; matplotlib makes one in each cell")
            return runtime
    except OSError as error:
        raise ConfigurationError(
            f"cannot install runtime {name} in {runtimes_dir}: {error.strerror or error}"
        ) from error


def _compile_ours(interpreter: Interpreter) -> None:
    """Compile our packages of a cell: our own installation has bytecode for the server's Python only."""
    folders = [str(Path(__file__).parents[2] / part) for part in OUR_PARTS]
    command = [str(interpreter.python), "-I", "-S", "-m", "compileall", "-q", *folders]
    try:
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMPILE_SECONDS, umask=0o022
        ).returncode
    except subprocess.TimeoutExpired:
        status = -1
    if status:
        _say(
            f"{interpreter.name}: caution: no bytecode could be made in {folders[0]}; its cells start slower"
        )


def why_install(current: RuntimeRecord | None, interpreter: Interpreter, lock_digest: str) -> str | None:
    """Why an installation is needed, in a few words; ``None`` if the current one is up to date."""
    if current is None:
        return "not installed"
    if current.lock_digest != lock_digest:
        return "the list of libraries changed"
    if current.version != interpreter.version:
        return f"Python {current.version} became {interpreter.version}"
    if current.python != interpreter.python:
        return f"the interpreter is now {interpreter.python}"
    if current.host_dirs != interpreter.host_dirs:
        return "the interpreter's folders changed"
    return None


def missing_system_library() -> str | None:
    """A caution about a library that pip packages cannot bring; ``None`` if it is there."""
    try:
        ctypes.CDLL("libodbc.so.2")
    except OSError:
        return (
            "pyodbc will not import: libodbc.so.2 is missing; on Debian and Ubuntu: apt-get install libodbc2"
        )
    return None


def locked_requirements(lock: str) -> list[str]:
    """The ``name==version`` entries of a lock file's text."""
    return re.findall(r"^[A-Za-z0-9._-]+(?:\[[^\]]*\])?==[^ \\;]+", lock, re.MULTILINE)


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """uv's environment: the caller's, with pip's index settings translated and Python's variables removed.

    One of those, PYTHONDONTWRITEBYTECODE, would leave the libraries without bytecode and make a first import
    two to four times slower.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("PYTHON") and name not in ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_TARGET")
    }
    index_is_set = any(name in kept for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX"))
    for theirs, ours in _PIP_TO_UV.items():
        if theirs in kept and ours not in kept and not (index_is_set and ours.startswith("UV_")):
            kept[ours] = kept[theirs]
    kept.setdefault("UV_HTTP_TIMEOUT", str(_HTTP_TIMEOUT_S))
    return {**kept, "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}


def _install(
    interpreter: Interpreter,
    runtimes_dir: Path,
    lock: Path,
    digest: str,
    reason: str,
    current: RuntimeRecord | None,
) -> Runtime:
    name, folder, full = interpreter.name, runtimes_dir / interpreter.name, lock.name == "full.txt"
    kind = "the full list" if full else "the lean list"
    _say(f"{name}: installing {kind} for Python {interpreter.version} ({reason})")
    began = time.monotonic()
    _remove_all_but(folder, {current.libraries} if current else set())
    libraries = Path(tempfile.mkdtemp(prefix="libraries-", dir=folder))
    try:
        _run_uv(
            f"cannot install runtime {name}",
            [
                *("pip", "install", "--python", str(interpreter.python), "--target", str(libraries)),
                # Only the lock is installed, each file by its hash; the build tools of the few packages
                # that come as source are locked in the same way.
                *("--require-hashes", "--no-deps", "--requirements", str(lock)),
                *("--build-constraints", str(LOCKS / "build.txt"), "--compile-bytecode"),
            ],
            prefix=name,
            deadline_s=INSTALL_SECONDS,
        )
        _tidy(libraries)
    except BaseException:  # on an interrupt too: a half-made folder is useless
        shutil.rmtree(libraries, ignore_errors=True)
        raise
    record = RuntimeRecord(
        name=name,
        python=interpreter.python,
        version=interpreter.version,
        host_dirs=interpreter.host_dirs,
        libraries=libraries.name,
        library_count=len(list(libraries.glob("*.dist-info"))),
        full=full,
        lock_digest=digest,
    )
    write_record(runtimes_dir, record)
    _say(f"{name}: ready, {record.library_count} libraries in {time.monotonic() - began:.1f} s")
    runtime = runtime_of(runtimes_dir, record)
    assert runtime is not None  # it was just made, under the lock
    return runtime


def _run_uv(doing: str, arguments: list[str], *, prefix: str, deadline_s: float) -> None:
    """Run uv and show its progress on stderr; ConfigurationError "``doing``: …" if it fails or is late."""
    process = subprocess.Popen(
        [find_uv_bin(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=uv_environment(os.environ),
        umask=0o022,  # cells run under other user ids and must be able to read the files
        start_new_session=True,
        text=True,
        errors="replace",
    )
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(deadline_s, end)
    timer.start()
    last: deque[str] = deque(maxlen=_ERROR_LINES)
    assert process.stderr is not None  # it was asked for
    try:
        with process.stderr as lines:
            for line in lines:
                text = line.rstrip()
                if text and not text.startswith((" + ", "Using ")):  # a line per library is no progress
                    last.append(text)
                    _say(f"{prefix}: {text.strip()}")
        status = process.wait()
    finally:
        timer.cancel()
        _kill(process)
        process.wait()
    if late.is_set():
        raise ConfigurationError(f"{doing}: it took longer than {deadline_s:.0f} s; run it again to go on")
    if status != 0:
        raise ConfigurationError(f"{doing}: uv says: {' '.join(line.strip() for line in last)}")


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended in between
        return


def _tidy(libraries: Path) -> None:
    """Make the files readable for everyone, and remove those that no function needs."""
    libraries.chmod(0o755)  # mkdtemp made it private
    # Commands whose first line names a path of this host.
    shutil.rmtree(libraries / "bin", ignore_errors=True)
    (libraries / ".lock").unlink(missing_ok=True)
    # uv may link files out of its cache, which was perhaps filled under a stricter umask.
    for folder, _, files in os.walk(libraries):
        for path in (Path(folder), *(Path(folder, file) for file in files)):
            mode = path.stat().st_mode & 0o7777
            wanted = mode | (0o555 if path.is_dir() else 0o444)
            if mode != wanted:
                path.chmod(wanted)


def _remove_all_but(folder: Path, kept: set[str]) -> None:
    for path in folder.glob("libraries-*"):
        if path.name not in kept:
            shutil.rmtree(path)


@contextmanager
def _held(path: Path, deadline_s: float) -> Iterator[None]:
    """Hold the lock file ``path``; ConfigurationError if another installer has it for ``deadline_s``."""
    with path.open("a") as file:
        until = time.monotonic() + deadline_s
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise ConfigurationError(
                        f"cannot install into {path.parent}: another installer has held it "
                        f"for {deadline_s:.0f} s; end that one"
                    ) from None
                if not waiting:
                    _say(f"{path.parent.name}: waiting for another installer")
                    waiting = True
                time.sleep(_LOCK_RETRY_SECONDS)
        yield  # closing the file releases the lock


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  progress of a command, not a log
