"""The quotas of a space: what it may use, and what it uses of that."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from supervisor.front.api.context import Acting, Context, Given
from supervisor.front.api.routes.function_routes import SpaceIn
from supervisor.tenancy.quota_names import (
    ASYNC_QUEUED,
    CALLS_PER_MINUTE,
    CONCURRENT_CALLS,
    CPU_SECONDS_PER_HOUR,
    FUNCTIONS,
    LOG_BYTES_PER_DAY,
    QUOTAS,
    STORED_BYTES,
    VERSIONS_KEPT,
)

router = APIRouter(prefix="/spaces/{space}", tags=["spaces"])


def _limit(quota: str) -> Any:
    meaning = QUOTAS[quota]
    return Field(None, ge=0, le=meaning.most, strict=True, description=meaning.meaning)


class QuotasIn(BaseModel):
    """The quotas of a space; what is absent or null has no limit."""

    model_config = ConfigDict(extra="forbid")

    functions: int | None = _limit(FUNCTIONS)
    versions_kept: int | None = _limit(VERSIONS_KEPT)
    stored_bytes: int | None = _limit(STORED_BYTES)
    concurrent_calls: int | None = _limit(CONCURRENT_CALLS)
    calls_per_minute: int | None = _limit(CALLS_PER_MINUTE)
    cpu_seconds_per_hour: int | None = _limit(CPU_SECONDS_PER_HOUR)
    log_bytes_per_day: int | None = _limit(LOG_BYTES_PER_DAY)
    async_queued: int | None = _limit(ASYNC_QUEUED)


class QuotasOut(QuotasIn):
    """The quotas of a space, and what it uses of them."""

    used: dict[str, int] = Field(
        description="of the quotas that have a limit what is used: now, or within the quota's window"
    )


@router.get("/quotas")
async def show_quotas(context: Given, space: SpaceIn) -> QuotasOut:
    """The quotas of a space, and what it uses of them."""
    return await _shown(context, space)


@router.put("/quotas")
async def put_quotas(context: Given, acting: Acting, space: SpaceIn, body: QuotasIn) -> QuotasOut:
    """Give a space quotas, in place of those before; what is absent or null has no limit.

    They are in force in all fronts before the answer.
    """
    limits = {name: limit for name, limit in body.model_dump().items() if limit is not None}

    async def commit() -> None:
        await context.blocking(acting.quotas.put, space, limits)
        await context.control.changed("quotas", space)

    await context.to_its_end(commit())
    return await _shown(context, space)


async def _shown(context: Context, space: str) -> QuotasOut:
    limits, held = await context.blocking(context.store.quotas.limits, space)
    stored = {FUNCTIONS: held.functions, STORED_BYTES: held.bytes}
    used = {name: amount for name, amount in stored.items() if name in limits}
    return QuotasOut(**limits, used=used | await context.quotas_used(space))
