"""``If-Match`` (RFC 9110, 13.1.1): a change is made only to what its caller has seen.

An entity tag stands for the state that can be changed: a function's active version, an alias's versions and
share, a version's label.  What else an answer shows, such as how many instances there are, is not in it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import WithJsonSchema

from supervisor.errors import PlatformError, shown
from supervisor.store import Alias, StoredFunction, Version

TAG_CHARS = 24  # of a SHA-256 in hexadecimal
_ENTITY_TAG = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')
_BETWEEN = re.compile(r"[ \t]*(,[ \t]*)*")
# For OpenAPI; the server takes more, such as empty members of the list and W/"tags", which match nothing.
PATTERN = r'^(\*|"[!#-~]*"( *, *"[!#-~]*")*)$'


class Precondition:
    """What a request asks of the present state; without the header it asks nothing."""

    def __init__(self, tags: frozenset[str] = frozenset(), *, is_any: bool = False, is_given: bool = True):
        """``is_any``: anything will do that is there."""
        self._tags = tags
        self._is_any = is_any
        self._is_given = is_given

    def check(self, current: str | None, what: str) -> None:
        """PlatformError 412 unless ``current``, the tag of what is there, is asked for; None: nothing is.

        ``what`` says what is there now, in words.
        """
        if not self._is_given or (current is not None and (self._is_any or current in self._tags)):
            return
        raise PlatformError(
            412,
            f"precondition failed: {what}; look at it, and send again with its ETag as If-Match",
            {"etag": current},
            {} if current is None else {"ETag": current},
        )


ANY_STATE = Precondition(is_given=False)


def parse(lines: list[str]) -> Precondition:
    """The precondition of the header's lines, none for no line; PlatformError 400.

    The comparison is strong: a weak tag matches nothing.
    """
    if not lines:
        return ANY_STATE
    text = ",".join(lines)
    if text.strip(" \t") == "*":
        return Precondition(is_any=True)
    tags: set[str] = set()
    found = _BETWEEN.match(text)
    at = found.end() if found else 0
    is_one = False
    while at < len(text):
        tag = _ENTITY_TAG.match(text, at)
        if tag is None:
            raise _unreadable(text)
        if not tag[1]:
            tags.add(f'"{tag[2]}"')
        is_one = True
        between = _BETWEEN.match(text, tag.end())
        at = between.end() if between else tag.end()
        if at < len(text) and "," not in text[tag.end() : at]:
            raise _unreadable(text)
    if not is_one:
        raise _unreadable(text)
    return Precondition(frozenset(tags))


def _unreadable(text: str) -> PlatformError:
    return PlatformError(
        400,
        f"cannot read If-Match: {shown(text)} is no list of entity tags; "
        'send an ETag as it came, with its quotes ("..."), or *',
        {"header": "If-Match"},
    )


def tag_of(*state: object) -> str:
    """The entity tag of a state."""
    text = "\0".join(map(str, state))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:TAG_CHARS]}"'


def function_tag(function: StoredFunction) -> str:
    """The entity tag of a function: that of its active version."""
    return tag_of("function", function.id, function.active.number)


def alias_tag(function: StoredFunction, alias: Alias) -> str:
    """The entity tag of an alias."""
    return tag_of("alias", function.id, alias.name, alias.version, alias.canary, alias.share)


def version_tag(function: StoredFunction, version: Version) -> str:
    """The entity tag of a version, whose label alone may change."""
    return tag_of("version", function.id, version.number, version.label)


def _if_match(
    request: Request,
    if_match: Annotated[
        str | None,
        WithJsonSchema({"type": "string", "pattern": PATTERN}),  # a header is never null
        Header(
            alias="If-Match",
            description="make the change only if this is the ETag of what is there, or one of several; else "
            "412 with the present one.  *: if anything is there",
        ),
    ] = None,
) -> Precondition:
    return parse(request.headers.getlist("if-match"))


IfMatch = Annotated[Precondition, Depends(_if_match)]
