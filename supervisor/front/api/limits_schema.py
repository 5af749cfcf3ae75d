"""A function's limits as the API documents them; ``supervisor.function_limits`` has what is enforced."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from supervisor.function_limits import MIB
from supervisor.function_options import Seconds


# The docstring is published too.  A test compares the defaults with those of ``supervisor.function_limits``.
class LimitsOut(BaseModel):
    """Every option of a function with its value: what the gateway and the cell enforce."""

    __qualname__ = "Limits"  # its name in ``/openapi.json``

    model_config = ConfigDict(title=__qualname__, frozen=True, extra="forbid", strict=False)

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
    cors: Literal["*"] | list[str] | None = Field(
        default=None, description="origins that may call from a browser: a list of at most 50, or *"
    )
    public: bool = Field(default=False, description="callable without a credential")
