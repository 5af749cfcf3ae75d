"""For operators: the activity of functions and instances, and the renewal of zygotes.

Routes that are not below a space are the administrator's.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from supervisor.front.api.context import Acting, Given
from supervisor.front.api.routes.function_routes import SpaceIn
from supervisor.front.telemetry.survey import Survey

router = APIRouter(tags=["server"])


class FunctionNow(BaseModel):
    """A function over all fronts.  Calls and durations are counted since each front began."""

    model_config = ConfigDict(from_attributes=True)

    space: str
    name: str
    version: int = Field(description="the active version; 0 while no front knows it")
    calls: dict[str, int] = Field(description="calls that have ended, by outcome")
    running: int
    waiting: int = Field(description="calls that wait for an instance")
    instances: int
    memory_bytes: int
    durations: dict[float, int] = Field(description="calls by duration: the upper end in milliseconds")


class InstanceNow(BaseModel):
    """An instance."""

    model_config = ConfigDict(from_attributes=True)

    instance: str
    front: int = Field(description="pid of its front")
    space: str
    name: str
    version: int
    state: str = Field(description="starting, busy, idle, frozen or ending")
    age_s: float
    running: int
    calls: int
    memory_bytes: int = Field(description="0 where nobody counts it")
    peak_bytes: int


class ActivityOut(BaseModel):
    """A snapshot."""

    model_config = ConfigDict(from_attributes=True)

    fronts: int = Field(description="fronts that answered")
    missing: int = Field(description="fronts that did not answer in time: what they have is not counted")
    left_out: int = Field(description="rows that were too many")
    functions: list[FunctionNow]
    instances: list[InstanceNow]
    cells: dict[str, int] = Field(description="cells by state, blank ones too; the administrator's")


class Renewed(BaseModel):
    """Whose zygotes are being replaced."""

    runtimes: list[str]


NameQuery = Annotated[str | None, Query(max_length=63, description="only this function")]


def _shown(survey: Survey, name: str | None) -> ActivityOut:
    if name is not None:
        survey.functions = [one for one in survey.functions if one.name == name]
        survey.instances = [one for one in survey.instances if one.name == name]
    return ActivityOut.model_validate(survey)


@router.get("/activity")
async def show_activity(context: Given) -> ActivityOut:
    """What goes on in every space now: functions, instances, calls, memory."""
    return _shown(await context.control.survey(""), None)


@router.get("/spaces/{space}/activity")
async def show_activity_of_space(context: Given, space: SpaceIn, name: NameQuery = None) -> ActivityOut:
    """What goes on in a space now: functions, instances, calls, memory."""
    await context.blocking(context.store.spaces.require, space)
    return _shown(await context.control.survey(space), name)


@router.post("/zygotes/renew", status_code=202)
async def renew_zygotes(context: Given, acting: Acting) -> Renewed:
    """Replace the processes that instances are made from, while calls go on."""
    runtimes = await context.control.renew_zygotes()
    await context.blocking(acting.audit.record, "zygotes.renew", ", ".join(runtimes))
    return Renewed(runtimes=runtimes)
