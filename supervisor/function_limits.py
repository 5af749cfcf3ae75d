"""Every option of a function, declared once, and how three layers of options come to the limits in force.

``Limits`` declares each option: type, default, bounds, ceiling, sentence and unit (the sentence's last word).
All other lists are made of it: ``supervisor.function_options`` (what a tenant may name), the defaults and
ceilings below, the API's schema of a function, and the tables that a test compares with docs/settings.md.

Pure, and without pydantic: a front decides with it before its first answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from supervisor.errors import PlatformError, shown

MIB = 1024 * 1024
# An instance that ends in order has this long for the last words of its own code; then it is killed.  A flush
# to a server nearby takes a tenth of it.  Only the end of the server waits for it.
LAST_SECONDS = 2.0
ASYNC_CONCURRENCY = 100  # the contract's default of ``concurrency`` for ``async def``
# What a process needs to run at all, and the least that ``open_files`` may be.
OPEN_FILES_LEAST = 16


def _option(default: Any, description: str, *, ceiling: Any = None, **bounds: Any) -> Any:
    """A field of ``Limits``; its ``bounds`` have the names of pydantic's ``Field``.

    ``ceiling`` is that of a server whose operator names none.
    """
    return field(default=default, metadata={"description": description, "ceiling": ceiling, **bounds})


def _seconds(default: float, description: str, *, ceiling: float | None = None) -> Any:
    return _option(default, description, ceiling=ceiling, gt=0, le=86_400, allow_inf_nan=False)


# The API shows it as it stands here: /openapi.json has its name, its docstring and its fields.
@dataclass(frozen=True, slots=True)
class Limits:
    """Every option of a function with its value: what the gateway and the cell enforce."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    timeout: float = _seconds(10.0, "time of a synchronous call, seconds", ceiling=900.0)
    async_timeout: float = _seconds(
        300.0, "time of an attempt of an asynchronous call, seconds", ceiling=3600.0
    )
    memory: int = _option(128, "private memory of an instance, MiB", ge=16, le=1 << 20, ceiling=2048)
    cpu: float = _option(
        1.0, "share of the processor, cores", gt=0, le=1024, allow_inf_nan=False, ceiling=4.0
    )
    processes: int = _option(64, "processes and threads of an instance", ge=1, le=32_768, ceiling=512)
    tmp: int = _option(64, "size of /tmp, MiB", ge=1, le=1 << 20, ceiling=1024)
    open_files: int = _option(
        256, "open descriptors of a process", ge=OPEN_FILES_LEAST, le=65_536, ceiling=4096
    )
    max_request: int = _option(16, "largest request body, MiB", ge=1, le=1024, ceiling=64)
    max_response: int = _option(16, "largest response body, MiB", ge=1, le=1024, ceiling=64)
    log_bytes: int = _option(1 * MIB, "log volume of a call, bytes", ge=0, le=1 << 30, ceiling=16 * MIB)
    log_lines: int = _option(10_000, "log lines of a call", ge=0, le=10_000_000, ceiling=200_000)
    concurrency: int | None = _option(
        None, "calls at once in one instance; 1 for def, 100 for async def", ge=1, le=10_000, ceiling=1000
    )
    min_instances: int = _option(0, "instances kept", ge=0, le=10_000)
    max_instances: int = _option(10, "instances at most", ge=1, le=10_000, ceiling=100)
    idle_seconds: float = _seconds(300.0, "an idle instance is ended after this, seconds")
    fresh: bool = _option(False, "each call runs in an instance that has served no other call")
    # Host networking reaches every loopback service of the host: an operator turns it on knowingly.
    network: Literal["none", "host"] = _option("none", "none or host", ceiling="none")
    cors: Literal["*"] | list[str] | None = _option(
        None, "origins that may call from a browser: a list of at most 50, or *"
    )
    public: bool = _option(False, "callable without a credential")


DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(Limits) if each.default is not None}
DEFAULT_CEILINGS: dict[str, Any] = {
    each.name: each.metadata["ceiling"] for each in fields(Limits) if each.metadata["ceiling"] is not None
}

# A ceiling without an option: how many files all processes of an instance may have open together.  The
# warden adds it, because it depends on the host.
FILES = "files"


def open_files_within(open_files: int, processes: int, files: int) -> int:
    """``open_files``, lowered so that all processes together stay within ``files``."""
    return min(open_files, max(OPEN_FILES_LEAST, files // max(1, processes)))


def resolve(named: Mapping[str, Any], defaults: Mapping[str, Any], ceilings: Mapping[str, Any]) -> Limits:
    """The limits of a function: its options over the operator's defaults, under the ceilings.

    A tenant's own value above a ceiling is refused with 422.  A default above it is cut, be it the
    operator's or the contract's.  All three hold validated options (``supervisor.function_options``);
    TypeError for a name that is no option.
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
