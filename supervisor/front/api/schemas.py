"""The bodies of requests and responses, and the names in paths: what is valid, and what it means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from supervisor.errors import shown
from supervisor.front.api.json_value import HALF_A_PAIR
from supervisor.front.api.versions.version_names import VersionLabel
from supervisor.front.api_control import DEFAULT_TEMPLATE, Standing, Status
from supervisor.function_limits import Limits
from supervisor.function_options import Options
from supervisor.store import Alias, StoredFunction, Version

ENV_MAX_ENTRIES = 100
ENV_MAX_BYTES = 32 * 1024
DESCRIPTION_MAX_CHARS = 4096
PAGE_DEFAULT, PAGE_MAX = 100, 1000

LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
# The dynamic linker and the interpreter read these before our code runs.
ENV_RESERVED = ("LD_", "CELLBLOCK_")


def _label(value: str) -> str:
    if not re.fullmatch(LABEL.strip("^$"), value):
        raise ValueError(
            "use lowercase letters, digits and hyphens, at most 63, with no hyphen at either end"
        )
    return value


def whole_unicode(value: str) -> str:
    """Text without half a character; ValueError."""
    # JSON can hold half a surrogate pair; no database, environment or frame can.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(HALF_A_PAIR)
    return value


def checked_text(value: str) -> str:
    """Text that every store can keep; ValueError."""
    if "\0" in value:
        raise ValueError("it has a NUL character in it")
    return whole_unicode(value)


def checked_env(value: dict[str, str]) -> dict[str, str]:
    """The environment variables of a function; ValueError for those that a cell could not be given."""
    if len(value) > ENV_MAX_ENTRIES:
        raise ValueError(f"it has {len(value)} entries; at most {ENV_MAX_ENTRIES}")
    for name, text in value.items():
        if not re.fullmatch(ENV_NAME, name):
            raise ValueError(f"{shown(name)} is no name: letters, digits and _, at most 128, no digit first")
        if name.startswith(ENV_RESERVED):
            raise ValueError(
                f"{shown(name)} is reserved: names must not begin with {', '.join(ENV_RESERVED)}"
            )
        try:
            checked_text(text)
        except ValueError as error:
            raise ValueError(f"the value of {shown(name)}: {error}") from None
    size = sum(len(name) + len(text.encode()) for name, text in value.items())
    if size > ENV_MAX_BYTES:
        raise ValueError(f"it is {size} bytes in all; at most {ENV_MAX_BYTES}: put large data in the bundle")
    return value


Label = Annotated[str, AfterValidator(_label), WithJsonSchema({"type": "string", "pattern": LABEL})]
# Strict readers of a schema know no other way to say that a NUL is refused.
WITHOUT_NUL = r"^[^\u0000]*$"
Description = Annotated[
    str,
    AfterValidator(checked_text),
    Field(max_length=DESCRIPTION_MAX_CHARS, json_schema_extra={"pattern": WITHOUT_NUL}),
]
Env = Annotated[
    dict[str, str],
    AfterValidator(checked_env),
    Field(
        json_schema_extra={
            "propertyNames": {"pattern": f"^(?!{'|'.join(ENV_RESERVED)}){ENV_NAME}$"},
            "maxProperties": ENV_MAX_ENTRIES,
            "additionalProperties": {"type": "string", "pattern": WITHOUT_NUL},
        }
    ),
]
Template = Annotated[
    str,
    AfterValidator(checked_text),
    Field(min_length=1, max_length=64, json_schema_extra={"pattern": WITHOUT_NUL}),
]
EnvPatch = dict[str, str | None]  # as a whole it is checked once it is merged
# Lines of base64(1) are wrapped: white space is left out before it is read.
BASE64 = r"^\s*(([A-Za-z0-9+/]\s*){4})*(([A-Za-z0-9+/]\s*){2}(=\s*){2}|([A-Za-z0-9+/]\s*){3}=\s*)?$"

TEMPLATE = f"the runtime, such as python3.11; {DEFAULT_TEMPLATE} is the server's default one"
SOURCE = "the code; required to create"
LABELLED = "of the version that this makes, or of the active one if nothing changes; unique in the function"


class In(BaseModel):
    """The body of a request: a field that it does not have is refused."""

    model_config = ConfigDict(extra="forbid")


class Source(In):
    """The code of a function."""

    code: str = Field(
        min_length=1,
        description="base64 of a handler.py, or of a zip, tar or tar.gz with handler.py at its root",
        json_schema_extra={"contentEncoding": "base64", "pattern": BASE64},
    )


class FunctionCreate(In):
    """A function to create and deploy."""

    name: Label = Field(description="unique in the space")
    template: Template = Field(DEFAULT_TEMPLATE, description=TEMPLATE)
    description: Description = ""
    env: Env = Field(default_factory=dict, description="environment variables of the function")
    options: Options = Field(default_factory=Options, description="limits; what is absent is the default")
    source: Source = Field(description=SOURCE)
    label: VersionLabel | None = Field(None, description=LABELLED)


class FunctionChange(In):
    """A change of a function; what is absent or null stays, what is given replaces the whole field."""

    name: Label | None = Field(None, description="if given, the name in the path")
    template: Template | None = Field(None, description=TEMPLATE)
    description: Description | None = None
    env: Env | None = None
    options: Options | None = None
    source: Source | None = Field(None, description=SOURCE)
    label: VersionLabel | None = Field(None, description=LABELLED)


class FunctionPatch(In):
    """A change of a function by JSON Merge Patch (RFC 7396): what is absent stays.

    Of ``options`` and ``env`` only the named members change, and null removes a member.
    """

    name: Label | None = Field(None, description="if given, the name in the path")
    template: Template | None = Field(None, description=TEMPLATE)
    description: Description | None = None
    env: EnvPatch | None = Field(None, description="null: without any")
    options: Options | None = Field(None, description="null: every option takes its default")
    source: Source | None = Field(None, description=SOURCE)
    label: VersionLabel | None = Field(None, description=LABELLED)


class Rollback(In):
    """Which version to go back to."""

    version: int | None = Field(
        None, ge=1, le=(1 << 31) - 1, description="absent: the version before the active one"
    )


class Metrics(BaseModel):
    """Instances just now."""

    replicas: int
    available_replicas: int


class FunctionOut(BaseModel):
    """A function with its active version."""

    id: str
    space: str
    name: str
    description: str
    template: str
    env: dict[str, str]
    options: dict[str, Any] = Field(description="as named by its author")
    limits: Limits = Field(description="every option with the value in force")
    digest: str = Field(description="of the active version's bundle")
    version: int
    label: str | None = Field(description="of the version")
    status: Status = Field(
        description="Running: it takes calls, also with no instance yet. Pending: an instance that "
        "min_instances keeps waits for room. Building: its first instances import it. "
        "Failed: its instances cannot start."
    )
    status_reason: str | None = Field(description="why, for every status but Running")
    warnings: list[str] = Field(
        description="what is odd about the active version's bundle: a module that hides one of the standard "
        "library's, a sentence each"
    )
    metrics: Metrics
    created_at: str
    updated_at: str

    @classmethod
    def of(
        cls, function: StoredFunction, limits: Limits, standing: Standing, warnings: Sequence[str]
    ) -> Self:
        """From the store's record and what else is known."""
        content = function.active.content
        status, reason = standing.status_of(function.active.number, limits.min_instances)
        return cls(
            id=function.id,
            space=function.space,
            name=function.name,
            description=content.description,
            template=content.template,
            env=content.env,
            options=content.options,
            limits=limits,
            digest=content.digest,
            version=function.active.number,
            label=function.active.label,
            warnings=list(warnings),
            status=status,
            status_reason=reason,
            metrics=Metrics(replicas=standing.replicas, available_replicas=standing.available_replicas),
            created_at=stamp(function.created_at),
            updated_at=stamp(function.updated_at),
        )


class DeployedOut(FunctionOut):
    """A function after a change of it."""

    unchanged: bool = Field(
        False, description="true: the active version had this content already, and no version was made"
    )


class Paging(BaseModel):
    """Cursors to the neighbouring pages; null where there is none."""

    next_cursor: str | None = None
    previous_cursor: str | None = None


class FunctionList(BaseModel):
    """A page of functions, by name."""

    data: list[FunctionOut]
    paging: Paging


class Code(BaseModel):
    """The code of the active version."""

    code: str = Field(description="base64 of handler.py if that is all there is, else of a zip")


class VersionOut(BaseModel):
    """An immutable version."""

    version: int
    label: str | None
    digest: str
    template: str
    description: str
    env: dict[str, str]
    options: dict[str, Any]
    created_at: str
    active: bool
    aliases: list[str] = Field(description="the aliases that name it, also for a share of their calls")

    @classmethod
    def of(cls, version: Version, active: int, aliases: Sequence[Alias]) -> Self:
        """From the store's record; ``active`` is the active version's number, ``aliases`` the function's."""
        content = version.content
        return cls(
            version=version.number,
            label=version.label,
            digest=content.digest,
            template=content.template,
            description=content.description,
            env=content.env,
            options=content.options,
            created_at=stamp(version.created_at),
            active=version.number == active,
            aliases=[each.name for each in aliases if version.number in (each.version, each.canary)],
        )


class VersionList(BaseModel):
    """Versions, the newest first."""

    data: list[VersionOut]
    paging: Paging


def stamp(moment: datetime) -> str:
    """A time of the store as the API shows it: RFC 3339 in UTC, to the second."""
    return moment.isoformat(timespec="seconds") + "Z"
