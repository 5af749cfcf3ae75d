"""What a function may take: every option with its default, and how three layers of them come to limits.

Plain and pure: a front decides with it before its first answer and imports no pydantic for that.  What a
tenant may name, and within which bounds, is ``supervisor.function_options``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from supervisor.errors import PlatformError, shown

MIB = 1024 * 1024
# What an instance that ends in order has for its own code's last words: a flush to a server that is near
# takes a tenth of it.  One that uses it up is killed; nobody but the server's end waits for it.
LAST_SECONDS = 2.0
ASYNC_CONCURRENCY = 100  # the contract's default of ``concurrency`` for ``async def``


@dataclass(frozen=True, slots=True)
class Limits:
    """Every option with its value, in the units of ``supervisor.function_options``: what is enforced."""

    timeout: float = 10.0
    async_timeout: float = 300.0
    memory: int = 128
    cpu: float = 1.0
    processes: int = 64
    tmp: int = 64
    open_files: int = 256
    max_request: int = 16
    max_response: int = 16
    log_bytes: int = 1 * MIB
    log_lines: int = 10_000
    concurrency: int | None = None
    min_instances: int = 0
    max_instances: int = 10
    idle_seconds: float = 300.0
    fresh: bool = False
    network: Literal["none", "host"] = "none"
    cors: Literal["*"] | list[str] | None = None
    public: bool = False


DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in fields(Limits) if field.default is not None
}

DEFAULT_CEILINGS: dict[str, Any] = {
    "timeout": 900.0,
    "async_timeout": 3600.0,
    "memory": 2048,
    "cpu": 4.0,
    "processes": 512,
    "tmp": 1024,
    "open_files": 4096,
    "max_request": 64,
    "max_response": 64,
    "log_bytes": 16 * MIB,
    "log_lines": 200_000,
    "concurrency": 1000,
    "max_instances": 100,
    # Host networking reaches every loopback service of the host: an operator turns it on knowingly.
    "network": "none",
}


# Among the ceilings, and no option: how many files all processes of an instance may have open together.  The
# warden adds it, for it depends on the host.
FILES = "files"
# What a process needs to run at all, and the least that ``open_files`` may be.
OPEN_FILES_LEAST = 16


def open_files_within(open_files: int, processes: int, files: int) -> int:
    """``open_files``, or as many as leave all processes together within ``files``."""
    return min(open_files, max(OPEN_FILES_LEAST, files // max(1, processes)))


def resolve(named: Mapping[str, Any], defaults: Mapping[str, Any], ceilings: Mapping[str, Any]) -> Limits:
    """The limits of a function: its options over the operator's defaults, under the ceilings.

    A tenant's own value above a ceiling is refused with 422; a default above it is cut, be it the
    operator's or the contract's.  All three are validated options by name (``supervisor.function_options``);
    TypeError for a name that is none.
    """
    values = {**DEFAULTS, **defaults, **named}
    if "concurrency" not in values and ceilings.get("concurrency", ASYNC_CONCURRENCY) < ASYNC_CONCURRENCY:
        values["concurrency"] = ceilings["concurrency"]
    for name, ceiling in ceilings.items():
        if name == "network":
            if ceiling == "none" and "network" not in named:
                values["network"] = "none"
            elif ceiling == "none" and values["network"] == "host":
                raise PlatformError(
                    422,
                    "options.network 'host' is not allowed on this server; "
                    'leave it out, or ask the operator to set ceilings.network = "host"',
                    {"option": "network", "ceiling": ceiling},
                )
            continue
        if name not in values:
            continue
        if values[name] > ceiling:
            if name in named:
                raise PlatformError(
                    422,
                    f"options.{name} {shown(values[name])} is above this server's ceiling of {ceiling}; "
                    f"ask for at most {ceiling}",
                    {"option": name, "ceiling": ceiling},
                )
            values[name] = ceiling
    if FILES in ceilings:
        _bound_files(values, named, ceilings[FILES])
    if "min_instances" not in named:
        values["min_instances"] = min(values["min_instances"], values["max_instances"])
    limits = Limits(**values)
    if limits.min_instances > limits.max_instances:
        raise PlatformError(
            422,
            f"options.min_instances {limits.min_instances} is above max_instances {limits.max_instances}; "
            "lower the one or raise the other",
            {"option": "min_instances"},
        )
    return limits


def _bound_files(values: dict[str, Any], named: Mapping[str, Any], files: int) -> None:
    within = open_files_within(values["open_files"], values["processes"], files)
    if within < values["open_files"] and "open_files" in named:
        raise PlatformError(
            422,
            f"options.open_files {values['open_files']} in each of {values['processes']} processes is above "
            f"this server's {files} for an instance; ask for at most {within}, or for fewer processes",
            {"option": "open_files", "ceiling": within},
        )
    values["open_files"] = within
