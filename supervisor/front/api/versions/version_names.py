"""What a label and an alias may be, and how a path names a function or one of its versions."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from supervisor.errors import shown

LABEL_MOST_CHARS = 64
NUMBER_MOST = (1 << 31) - 1  # of a version: what the database's column holds
# Printable ASCII without a blank at either end: v1.4.2, a commit, "before the move".
VERSION_LABEL = rf"^[!-~]([ -~]{{0,{LABEL_MOST_CHARS - 2}}}[!-~])?$"
# As a function's name, but not a number: a number names a version.
ALIAS = r"^(?![0-9]+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
CALLED = rf"^{_NAME}(@{_NAME})?$"
NUMBER = r"[1-9][0-9]{0,8}"


def _version_label(value: str) -> str:
    if not re.fullmatch(VERSION_LABEL.strip("^$"), value):
        raise ValueError(
            f"a label is 1 to {LABEL_MOST_CHARS} printable ASCII characters, with no blank at either end"
        )
    return value


def _alias(value: str) -> str:
    if value.isascii() and value.isdigit():
        raise ValueError("an alias is no number: a number names a version; begin it with a letter")
    if not re.fullmatch(_NAME, value):
        raise ValueError(
            "use lowercase letters, digits and hyphens, at most 63, with no hyphen at either end"
        )
    return value


def _called(value: str) -> str:
    if not re.fullmatch(CALLED.strip("^$"), value):
        raise ValueError(
            f"{shown(value)} is no function's name: use lowercase letters, digits and hyphens, as in NAME, "
            "NAME@ALIAS or NAME@VERSION"
        )
    return value


VersionLabel = Annotated[
    str, AfterValidator(_version_label), WithJsonSchema({"type": "string", "pattern": VERSION_LABEL})
]
AliasName = Annotated[str, AfterValidator(_alias), WithJsonSchema({"type": "string", "pattern": ALIAS})]
CalledName = Annotated[str, AfterValidator(_called), WithJsonSchema({"type": "string", "pattern": CALLED})]
