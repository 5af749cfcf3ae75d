"""An installed runtime and the file that describes it, ``runtimes_dir/<name>/runtime.json``.

The file is written last and replaced atomically, so a runtime is either whole or not there.  It tells the
server all that it needs of a runtime, so that no interpreter has to be started for that.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.errors import ConfigurationError
from supervisor.runtimes.interpreters import SUPPORTED_MINORS, own_runtime_name

RECORD_NAME = "runtime.json"
RUNTIME_NAMES: tuple[str, ...] = tuple(f"python3.{minor}" for minor in SUPPORTED_MINORS)
FORMAT = 1
_RECORD_MAX_BYTES = 64 * 1024

_log = logging.getLogger(__name__)


class Runtime(NamedTuple):
    """What functions run on: an interpreter and its libraries.

    ``python`` is the real binary.  ``libraries`` becomes one entry of ``sys.path`` in a cell.  ``host_dirs``
    must be visible in a cell, read-only, for ``python`` to start; so must ``/usr``.  ``full`` tells the 3.10
    page's list from the lean one.
    """

    name: str
    python: Path
    version: str
    libraries: Path
    host_dirs: tuple[Path, ...]
    full: bool


class RuntimeRecord(NamedTuple):
    """``runtime.json``: a :class:`Runtime`, and the lock that its libraries were installed from.

    ``libraries`` is the name of a folder beside the file; ``lock_digest`` is the lock's SHA-256 in hex.
    """

    name: str
    python: Path
    version: str
    host_dirs: tuple[Path, ...]
    libraries: str
    library_count: int
    full: bool
    lock_digest: str

    @classmethod
    def from_json(cls, text: str) -> RuntimeRecord:
        """The inverse of ``as_json``; ValueError.  Fields that a newer version added are ignored."""
        try:
            data: Any = json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(data, dict) or data.get("format", FORMAT) != FORMAT:
            raise ValueError("not a record of this format")
        values: dict[str, Any] = {name: data.get(name) for name in _CHECKS}
        wrong = [name for name, is_right in _CHECKS.items() if not is_right(values[name])]
        if wrong:
            raise ValueError(f"{wrong[0]} is not as it should be")
        host_dirs = tuple(map(Path, values.pop("host_dirs")))
        return cls(python=Path(values.pop("python")), host_dirs=host_dirs, **values)

    def as_json(self) -> str:
        """The text of the file."""
        values = {
            **self._asdict(),
            "python": str(self.python),
            "host_dirs": [str(path) for path in self.host_dirs],
        }
        return json.dumps({"format": FORMAT, **values}, indent=2)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "python": _is_text,
    "version": _is_text,
    "host_dirs": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "libraries": lambda value: _is_text(value) and bool(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", value)),
    "library_count": lambda value: type(value) is int and value >= 0,
    "full": lambda value: isinstance(value, bool),
    "lock_digest": lambda value: _is_text(value) and bool(re.fullmatch(r"[0-9a-f]{64}", value)),
}


def read_record(runtimes_dir: Path, name: str) -> RuntimeRecord | None:
    """The record of runtime ``name``; ``None`` if it is not installed or its record cannot be used."""
    path = runtimes_dir / name / RECORD_NAME
    try:
        with path.open("rb") as file:
            record = RuntimeRecord.from_json(file.read(_RECORD_MAX_BYTES).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        _log.warning("cannot use %s: %s; run: cellblock runtimes install %s", path, reason, name)
        return None
    return record if record.name == name else None


def write_record(runtimes_dir: Path, record: RuntimeRecord) -> None:
    """Write the record of a runtime, atomically and durably; OSError if the disk refuses."""
    folder = runtimes_dir / record.name
    temporary = folder / f"{RECORD_NAME}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(record.as_json() + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / RECORD_NAME)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def runtime_of(runtimes_dir: Path, record: RuntimeRecord) -> Runtime | None:
    """The runtime that ``record`` describes; ``None`` if its interpreter or its libraries are gone."""
    libraries = runtimes_dir / record.name / record.libraries
    if not libraries.is_dir():
        _log.warning("runtime %s has lost its libraries; run: cellblock runtimes install", record.name)
        return None
    if not os.access(record.python, os.X_OK) or not record.python.is_file():
        _log.warning("runtime %s has lost its interpreter %s", record.name, record.python)
        return None
    return Runtime(
        record.name, record.python, record.version, libraries.resolve(), record.host_dirs, record.full
    )


def load_runtimes(runtimes_dir: Path, default: str | None = None) -> tuple[Runtime, ...]:
    """The installed runtimes, the default first, then newest first.

    ``default`` names the default runtime; ``None`` means that of the server's own interpreter.
    Raises ConfigurationError if that one is not installed; another that is damaged is left out and logged.
    """
    wanted = default or own_runtime_name()
    if wanted not in RUNTIME_NAMES:
        raise ConfigurationError(
            f"cannot use default_runtime {wanted!r}: known are {', '.join(RUNTIME_NAMES)}"
        )
    found: list[Runtime] = []
    for name in sorted(RUNTIME_NAMES, key=lambda name: (name != wanted, -RUNTIME_NAMES.index(name))):
        record = read_record(runtimes_dir, name)
        runtime = runtime_of(runtimes_dir, record) if record else None
        if runtime is not None:
            found.append(runtime)
    if not found or found[0].name != wanted:
        raise ConfigurationError(
            f"the default runtime {wanted} is not installed in {runtimes_dir}; run once: cellblock setup"
        )
    return tuple(found)
