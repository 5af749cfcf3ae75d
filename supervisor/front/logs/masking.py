"""Finds a function's secrets in what it writes and puts ``[secret NAME]`` in their places.

Of a secret of 8 characters and more these are found: the text itself, each line of 8 and more of one that has
several (a PEM key), the text as JSON and ``repr`` escape it, URL-encoded, and base64, at any place of what
was encoded, in both alphabets, padded or not.  It keeps accidents out of logs; a function that means to tell
its secret has other ways.

Linear in the bytes of a line: one search (Aho and Corasick, in Rust) finds the beginnings, and each costs a
bounded number of comparisons.  Memory is bounded too: of a pattern the search has ANCHOR_BYTES, so that a
space's 512 KiB of secrets make an automaton of some MiB.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

from supervisor.front.logs.pipe_parser import CUT
from worker import wire
from worker.logwire import ENTRY_MAX_BYTES

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick

SECRET_LEAST_CHARS = 8  # shorter ones would be found everywhere
ANCHOR_BYTES = 32
# Of more secrets that begin with the same ANCHOR_BYTES none is compared: all of the word is masked.
SAME_ANCHOR_MOST = 16
# A short secret may be written often, and its name be longer: what is masked has an entry's length at most.
MASKED_MOST_BYTES = ENTRY_MAX_BYTES
# An instance that was given so many sets of secrets ends, so that all of them are masked to its end.
SETS_MOST = 16

# What follows the anchor of an encoded form and belongs to it; of a whole form the bits beside the secret's.
_REST_OF_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]*=*")
_PADDING = re.compile(rb"[A-Za-z0-9+/_-]?=*")
_REST_OF_URL = re.compile(rb"[A-Za-z0-9_.~/+%!'()*-]*")
_REST_OF_WORD = re.compile(rb"[^\s\"'<>]*")
_PEM_ARMOUR = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")  # no secret
_ESCAPES = re.compile("%[0-9A-F]{2}")
# By how many bytes come before it in what is encoded: the first character that is the secret's alone.
_FIRST_OF_BASE64 = (0, 2, 3)
# Frames of a cell that quote its code's words.
_SAYING = frozenset({wire.RAISED, wire.BROKE, wire.FAILED, wire.WHERE})


class _Pattern(NamedTuple):
    """A form of a secret: ``data``, or ``data`` and what ``rest`` matches after it."""

    data: bytes
    rest: re.Pattern[bytes] | None = None
    is_inner: bool = False  # base64 whose first bits are in the character before


def _written(text: str) -> Iterator[_Pattern]:
    for form in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]):
        yield _Pattern(form.encode())


def _url_encoded(text: str) -> Iterator[_Pattern]:
    for form in (quote(text, safe=""), quote(text), quote_plus(text), quote(text, safe="!'()*~")):
        for one in (form, _ESCAPES.sub(lambda escape: escape.group().lower(), form)):
            if one != text:
                # As far as the first escape: up to there it may be something else that begins like it.
                head = max(ANCHOR_BYTES, _same(one, text) + 3)
                yield _Pattern(one[:head].encode(), _REST_OF_URL if len(one) > head else None)


def _same(one: str, other: str) -> int:
    """How many characters both begin with."""
    differ = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))


def _in_base64(data: bytes) -> Iterator[_Pattern]:
    for before, first in enumerate(_FIRST_OF_BASE64):
        form = base64.b64encode(bytes(before) + data)[first : (before + len(data)) * 8 // 6]
        for one in (form, form.translate(bytes.maketrans(b"+/", b"-_"))):
            rest = _REST_OF_BASE64 if len(one) > ANCHOR_BYTES else _PADDING
            yield _Pattern(one[:ANCHOR_BYTES], rest, before > 0)


def _patterns(secret: str) -> Iterator[_Pattern]:
    lines = [line.strip() for line in secret.splitlines()]
    long = [line for line in lines if len(line) >= SECRET_LEAST_CHARS]
    for line in long if len(lines) > 1 and long else [secret]:
        if not _PEM_ARMOUR.fullmatch(line):
            yield from _written(line)
    yield from _url_encoded(secret)
    yield from _in_base64(secret.encode())


class _Anchor:
    """The forms that begin with the same ANCHOR_BYTES, or are no longer."""

    __slots__ = ("forms",)

    def __init__(self) -> None:
        self.forms: dict[bytes, tuple[_Pattern, str]] = {}  # each with its secret's name

    def add(self, pattern: _Pattern, name: str) -> None:
        """Add a form of the secret ``name``."""
        if len(self.forms) >= SAME_ANCHOR_MOST:
            pattern = _Pattern(pattern.data[:ANCHOR_BYTES], _REST_OF_WORD)
        self.forms.setdefault(pattern.data, (pattern, name))

    def found(self, data: bytes, start: int, limit: int) -> tuple[int, int, str] | None:
        """From where to where the secret stands that is at ``start``, and its name.

        ``limit`` is the end of the text.  A secret that this end cuts off is found, too.
        """
        longest, whose, is_inner = start, "", False
        for form, (pattern, name) in self.forms.items():
            stop = min(start + len(form), limit)
            if stop <= start or not form.startswith(data[start:stop]):
                continue
            if pattern.rest is not None and (rest := pattern.rest.match(data, stop, limit)):
                stop = rest.end()
            if stop > longest:
                longest, whose, is_inner = stop, name, pattern.is_inner
        return (start - is_inner, longest, whose) if whose else None


class Masker:
    """The secrets that one function was given at one time."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

        self.values = frozenset(secrets.values())
        anchors: dict[bytes, _Anchor] = {}
        for name, secret in secrets.items():
            for pattern in _patterns(secret):
                anchor = anchors.setdefault(pattern.data[:ANCHOR_BYTES], _Anchor())
                anchor.add(pattern, name)
        self._anchors = list(anchors.values())
        # Not the table that is fastest and largest: a line takes a microsecond by this one.
        self._search: BytesAhoCorasick = BytesAhoCorasick(
            list(anchors), MatchKind.LeftmostLongest, Implementation.ContiguousNFA
        )

    @classmethod
    def of(cls, secrets: Mapping[str, str]) -> Masker | None:
        """What masks these secrets; None if all are too short."""
        long = {name: value for name, value in secrets.items() if len(value) >= SECRET_LEAST_CHARS}
        return cls(long) if long else None

    def masked(self, data: bytes) -> bytes:
        """``data`` with the names of the secrets in their places."""
        matches = self._search.find_matches_as_indexes(data)
        if not matches:
            return data
        limit = len(data) - len(CUT) if data.endswith(CUT) else len(data)
        parts: list[bytes] = []
        done, last = 0, ""
        for index, at, _ in matches:
            anchor = self._anchors[index]
            if at < done or (found := anchor.found(data, at, limit)) is None:
                continue
            start, stop, name = max(found[0], done), found[1], found[2]
            if start > done or name != last:  # else the same secret twice in a row: how often is not told
                parts += data[done:start], b"[secret %b]" % name.encode()
            done, last = stop, name
        parts.append(data[done:])
        text = b"".join(parts)
        return text if len(text) <= MASKED_MOST_BYTES else text[:MASKED_MOST_BYTES] + CUT


class Masks:
    """What one instance was given in its life; its first set comes with INIT."""

    __slots__ = ("maskers",)

    def __init__(self) -> None:
        self.maskers: list[Masker] = []

    def add(self, masker: Masker | None) -> bool:
        """Mask these secrets from now on, too; whether there are too many sets."""
        if masker is not None and not any(masker.values <= known.values for known in self.maskers):
            self.maskers = [known for known in self.maskers if not known.values <= masker.values]
            self.maskers.append(masker)
        return len(self.maskers) >= SETS_MOST

    def masked(self, data: bytes) -> bytes:
        """``data`` without any of the secrets."""
        for masker in self.maskers:
            data = masker.masked(data)
        return data

    def without_secrets(self, frame: wire.Frame) -> wire.Frame:
        """A frame of the instance, in whose words no secret is left."""
        if frame.kind not in _SAYING:
            return frame
        return frame._replace(head=tuple(map(self._of_field, frame.head)))

    def _of_field(self, field: object) -> object:
        if not isinstance(field, str):
            return field
        return self.masked(field.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
