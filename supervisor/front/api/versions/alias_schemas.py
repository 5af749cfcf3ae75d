"""The bodies of aliases and labels."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from supervisor.front.api.schemas import Paging, stamp
from supervisor.front.api.versions.version_names import NUMBER_MOST, VersionLabel
from supervisor.store import Alias

SHARE_MOST = 100.0
_PARTS = 100  # of a percent: a share has two decimals


def _two_decimals(value: float) -> float:
    if round(value, 2) != value:
        raise ValueError("a share is a percentage with at most two decimals, such as 12.5")
    return value


VersionNumber = Annotated[int, Field(ge=1, le=NUMBER_MOST, description="a version of the function")]


class NamingBody(BaseModel):
    """A field that there is not is refused."""

    model_config = ConfigDict(extra="forbid")


class CanaryIn(NamingBody):
    """A second version, and the share of the calls that it serves."""

    version: VersionNumber
    share: Annotated[float, AfterValidator(_two_decimals)] = Field(
        gt=0,
        le=SHARE_MOST,
        description="percent of the calls, with at most two decimals; by X-Canary-Key where a caller gives "
        "one, else at random",
        json_schema_extra={"multipleOf": 0.01},
    )


class AliasIn(NamingBody):
    """What an alias names."""

    version: VersionNumber
    canary: CanaryIn | None = Field(None, description="null: the version serves all calls")

    @model_validator(mode="after")
    def _two_versions(self) -> Self:
        if self.canary is not None and self.canary.version == self.version:
            raise ValueError("canary.version is the version itself: name another one, or leave canary out")
        return self

    @property
    def share(self) -> int:
        """The canary's, in hundredths of a percent."""
        return 0 if self.canary is None else round(self.canary.share * _PARTS)


class CanaryOut(BaseModel):
    """The second version of an alias."""

    version: int
    share: float = Field(description="percent of the calls")


class AliasOut(BaseModel):
    """An alias: FUNCTION@NAME calls its version."""

    name: str
    function: str
    version: int
    canary: CanaryOut | None
    updated_at: str

    @classmethod
    def of(cls, function: str, alias: Alias) -> Self:
        """From the store's record."""
        canary = None
        if alias.canary is not None:
            canary = CanaryOut(version=alias.canary, share=alias.share / _PARTS)
        return cls(
            name=alias.name,
            function=function,
            version=alias.version,
            canary=canary,
            updated_at=stamp(alias.updated_at),
        )


class AliasList(BaseModel):
    """Every alias of a function, by name."""

    data: list[AliasOut]
    paging: Paging = Paging()


class LabelIn(NamingBody):
    """A version's label."""

    label: VersionLabel = Field(description="unique within the function, such as v1.4.2 or a commit")
