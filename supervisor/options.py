"""The options of a function (CONTRACT.md section 4): names, units, bounds, defaults, ceilings.

A tenant names any of them; what is not named takes the operator's default; nothing passes the
operator's ceiling.  ``resolve`` is pure: the same three layers give the same limits.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from supervisor.errors import PlatformError, shown

MIB = 1024 * 1024
ASYNC_CONCURRENCY = 100  # the contract's default of ``concurrency`` for ``async def``

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Limits(BaseModel):
    """Every option of a function with its value: what the gateway and the cell enforce."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    timeout: Seconds = Field(default=10.0, description="time of a synchronous call, seconds")
    async_timeout: Seconds = Field(
        default=300.0, description="time of an attempt of an asynchronous call, seconds"
    )
    memory: int = Field(default=128, ge=16, le=1 << 20, description="private memory of an instance, MiB")
    cpu: float = Field(
        default=1.0, gt=0, le=1024, allow_inf_nan=False, description="share of the processor, cores"
    )
    processes: int = Field(default=64, ge=1, le=32_768, description="processes and threads of an instance")
    tmp: int = Field(default=64, ge=1, le=1 << 20, description="size of /tmp, MiB")
    open_files: int = Field(default=256, ge=16, le=65_536, description="open descriptors of a process")
    max_request: int = Field(default=16, ge=1, le=1024, description="largest request body, MiB")
    max_response: int = Field(default=16, ge=1, le=1024, description="largest response body, MiB")
    log_bytes: int = Field(default=1 * MIB, ge=0, le=1 << 30, description="log volume of a call, bytes")
    log_lines: int = Field(default=10_000, ge=0, le=10_000_000, description="log lines of a call")
    concurrency: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="calls at once in one instance; 1 for def, 100 for async def",
    )
    min_instances: int = Field(default=0, ge=0, le=10_000, description="instances kept")
    max_instances: int = Field(default=10, ge=1, le=10_000, description="instances at most")
    idle_seconds: Seconds = Field(default=300.0, description="an idle instance is ended after this, seconds")
    fresh: bool = Field(
        default=False, description="each call runs in an instance that has served no other call"
    )
    network: Literal["none", "host"] = Field(default="none", description="none or host")
    public: bool = Field(default=False, description="callable without a credential")


class Options(BaseModel):
    """What a tenant may name of them; ``None`` or absent means the operator's default."""

    model_config = ConfigDict(extra="forbid", strict=False)

    timeout: Seconds | None = None
    async_timeout: Seconds | None = None
    memory: Annotated[int, Field(ge=16, le=1 << 20)] | None = None
    cpu: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] | None = None
    processes: Annotated[int, Field(ge=1, le=32_768)] | None = None
    tmp: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    open_files: Annotated[int, Field(ge=16, le=65_536)] | None = None
    max_request: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_response: Annotated[int, Field(ge=1, le=1024)] | None = None
    log_bytes: Annotated[int, Field(ge=0, le=1 << 30)] | None = None
    log_lines: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    min_instances: Annotated[int, Field(ge=0, le=10_000)] | None = None
    max_instances: Annotated[int, Field(ge=1, le=10_000)] | None = None
    idle_seconds: Seconds | None = None
    fresh: bool | None = None
    network: Literal["none", "host"] | None = None
    public: bool | None = None

    def named(self) -> dict[str, Any]:
        """Only the options that the tenant gave a value."""
        return self.model_dump(exclude_none=True)


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


def resolve(options: Options, defaults: Options, ceilings: dict[str, Any]) -> Limits:
    """The limits of a function: its options over the operator's defaults, under the ceilings.

    A tenant's own value above a ceiling is refused with 422; a default above it is cut, be it the
    operator's or the contract's.
    """
    named = options.named()
    values = {**Limits().model_dump(exclude_none=True), **defaults.named(), **named}
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
