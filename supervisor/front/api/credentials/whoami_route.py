"""Who a caller is: what ``cellblock whoami`` shows."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request

from supervisor.front.api.credentials.credential_schemas import CallerOut
from supervisor.tenancy.principal import Principal

router = APIRouter(tags=["credentials"])


@router.get("/whoami")
async def whoami(request: Request) -> CallerOut:
    """Whose credential this is, and what it may do."""
    return CallerOut.of(cast(Principal, request.state.principal))
