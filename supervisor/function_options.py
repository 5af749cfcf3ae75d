"""The options of a function (CONTRACT.md section 4): names, units, bounds and sentences.

A tenant names any of them; what is not named takes the operator's default; nothing passes the
operator's ceiling: ``supervisor.function_limits`` has how those come to limits, without pydantic.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from supervisor import domains

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
# One origin, or ``*`` for all; as text, several with commas between (``--set cors=A,B``).
Cors = Annotated[
    Literal["*"] | Annotated[list[str], Field(max_length=domains.ORIGINS_MOST)],
    BeforeValidator(domains.origins),
]


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
    cors: Cors | None = None
    public: bool | None = None

    def named(self) -> dict[str, Any]:
        """Only the options that the tenant gave a value."""
        return self.model_dump(exclude_none=True)
