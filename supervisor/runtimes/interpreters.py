"""The Python interpreters of this machine that can run functions.

Candidates are tried in an order of preference, and each is *run once*: a version manager may have a shim for
a version that is not installed, and a file's name proves nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

# The versions that worker/ and function/ run on; docs/decisions.md says why these.
SUPPORTED_MINORS: tuple[int, ...] = (9, 10, 11, 12, 13)

# An interpreter answers in some 50 ms, and under heavy load within this time; a slower one is a hanging shim.
PROBE_SECONDS = 10.0
_ANSWER_MAX_BYTES = 64 * 1024

# Run with -I -S, so that the user's site packages do not interfere.  It prints one JSON object.
_PROBE = """
import json, sys, sysconfig
var = sysconfig.get_config_var
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "base_prefix": sys.base_prefix,
    "base_exec_prefix": sys.base_exec_prefix,
    "free_threaded": bool(var("Py_GIL_DISABLED")),
    "pointer_bits": 64 if sys.maxsize > 2**32 else 32,
    "dirs": [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
        + ([var("LIBDIR")] if var("Py_ENABLE_SHARED") else []),
}))
"""


class Interpreter(NamedTuple):
    """One interpreter that answered: ``name`` such as ``python3.11``, ``version`` such as ``3.11.7``.

    ``python`` is the real binary, never a virtual environment's link; ``host_dirs`` are the folders
    outside ``/usr`` without which it does not run.
    """

    name: str
    python: Path
    version: str
    host_dirs: tuple[Path, ...]


def own_runtime_name() -> str:
    """The runtime of the server's own interpreter: the default runtime unless a setting names another."""
    return f"python3.{sys.version_info.minor}"


def discover_interpreters() -> list[Interpreter]:
    """The first interpreter of each supported version that runs, oldest version first."""
    with ThreadPoolExecutor(max_workers=len(SUPPORTED_MINORS)) as threads:
        found = threads.map(lambda minor: first_that_runs(minor, candidates(minor)), SUPPORTED_MINORS)
        return [interpreter for interpreter in found if interpreter is not None]


def first_that_runs(minor: int, paths: Iterable[Path]) -> Interpreter | None:
    """The first of ``paths`` that is a usable CPython 3.``minor``; ``None`` if there is none."""
    for path in paths:
        interpreter = probe(path)
        if interpreter is not None and interpreter.name == f"python3.{minor}":
            return interpreter
    return None


def candidates(minor: int) -> Iterator[Path]:
    """Files that may be a Python 3.``minor``: the server's, PATH's, a version manager's, the system's."""
    name = f"python3.{minor}"
    seen: set[Path] = set()
    for path in _places(name, minor):
        # Resolved, because Debian's Python takes "/" for its prefix when started through /bin -> /usr/bin.
        real = path.resolve()
        if real not in seen and real.is_file() and os.access(real, os.X_OK):
            seen.add(real)
            yield real


def probe(python: Path, timeout_s: float = PROBE_SECONDS) -> Interpreter | None:
    """What ``python`` says it is; ``None`` if it fails, takes ``timeout_s`` or cannot be a runtime."""
    # Imported here, because a start, which probes nothing, would wait for it some ms.
    import tempfile

    # The answer goes to a file: a process that a hanging shim started might hold a pipe open for ever.
    with tempfile.TemporaryFile() as answer:
        try:
            process = subprocess.Popen(
                [python, "-I", "-S", "-c", _PROBE],
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
                cwd="/",
                start_new_session=True,
            )
        except OSError:  # not an executable of this machine
            return None
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None
        if status != 0:
            return None
        answer.seek(0)
        return interpret(answer.read(_ANSWER_MAX_BYTES))


def interpret(answer: bytes) -> Interpreter | None:
    """The interpreter that a probe's answer describes; ``None`` for an answer that cannot be used."""
    try:
        said: Any = json.loads(answer)
        version = str(said["version"])
        prefixes = [Path(said["base_prefix"]), Path(said["base_exec_prefix"])]
        executable = Path(said["executable"]).resolve()
        dirs = [Path(folder) for folder in said["dirs"] if folder]
        usable = (
            said["implementation"] == "cpython" and not said["free_threaded"] and said["pointer_bits"] == 64
        )
    except (ValueError, KeyError, TypeError):
        return None
    match = re.fullmatch(r"3\.(\d{1,3})\.\d{1,3}", version)
    if not usable or match is None or int(match[1]) not in SUPPORTED_MINORS:
        return None
    name = f"python3.{match[1]}"
    prefix = prefixes[0].resolve()
    # In a virtual environment made of copies this is a copy: the interpreter itself is in the prefix.
    if not executable.is_relative_to(prefix):
        executable = (prefix / "bin" / name).resolve()
    host_dirs = outermost([executable.parent, *prefixes, *dirs])
    if Path("/") in host_dirs or not executable.is_file():  # the whole root cannot be shown to a cell
        return None
    return Interpreter(name, executable, version, host_dirs)


def outermost(folders: Iterable[Path]) -> tuple[Path, ...]:
    """The ``folders`` that exist, resolved, without those inside another one or inside ``/usr``."""
    real = {folder.resolve() for folder in folders if folder.is_dir()}
    inside = [Path("/usr"), *real]
    return tuple(
        sorted(
            folder
            for folder in real
            if folder != Path("/usr") and not any(outer in folder.parents for outer in inside)
        )
    )


def _places(name: str, minor: int) -> Iterator[Path]:
    if sys.version_info.minor == minor:
        yield Path(getattr(sys, "_base_executable", None) or sys.executable)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder.startswith("/"):  # a relative entry would run any file in the current folder
            yield Path(folder, name)
    # pyenv, and managers with its layout; newest patch release first.
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    installed = [path for path in versions.glob(f"3.{minor}.*") if path.name.split(".")[2].isdigit()]
    for path in sorted(installed, key=lambda path: int(path.name.split(".")[2]), reverse=True):
        yield path / "bin" / name
    yield Path("/usr/local/bin", name)
    yield Path("/usr/bin", name)
