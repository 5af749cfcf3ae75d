"""Readers of HTTP that are as forgiving as real ones were: the controls of the table's attacks.

Each takes a stream for what it wants to see in it.  An attack is one only if some reader runs the smuggled
request: what no reader falls for proves nothing about ours.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

Fields = list[tuple[bytes, bytes]]
# What ends a line; what ends a chunk, or is taken for it.
LINE_ENDS = [rb"\r\n", rb"\r?\n", rb"\r\n|\r|\n", rb"\r\r\n|\r?\n"]
REQUEST_LINE = re.compile(rb"\s*([A-Z]+)\s+(\S+)\s*(?:HTTP/|$)")
WRAPS = [1 << 64, 1 << 32, 1 << 128]


def _first_number(value: bytes, base: int = 10) -> int | None:
    """What C's strtol makes of it: spaces, a sign, a prefix, digits, and no look at what follows."""
    digits = rb"[0-9]" if base == 10 else rb"[0-9a-fA-F]"
    found = re.match(rb"[\s\x0b\"'=]*[+-]?(?:0[xX])?[0_]*(" + digits + rb"+|(?<=0))", value)
    # A number that no machine holds is cut to one that it does.
    return int(found[1][-20:] or b"0", base) % WRAPS[0] if found else None


def _named(fields: Fields, name: bytes) -> list[bytes]:
    """Values of what this reader takes for the header, however it is written."""
    return [
        value for key, value in fields if re.sub(rb"[\s\0]", b"", key).lower().replace(b"_", b"-") == name
    ]


def by_first_length(fields: Fields) -> int | None:
    """The first Content-Length, as far as it is a number."""
    return next((_first_number(value) for value in _named(fields, b"content-length")), 0)


def by_last_length(fields: Fields) -> int | None:
    """The last one."""
    return next((_first_number(value) for value in reversed(_named(fields, b"content-length"))), 0)


def by_no_length(fields: Fields) -> int | None:
    """A body is nothing that this reader knows of: as if it had answered before it came."""
    return 0


def by_bold_length(fields: Fields) -> int | None:
    """The first one by a language that takes prefixes, underscores and seven bits of eight."""
    for value in _named(fields, b"content-length"):
        plain = re.sub(rb"[_\s]", b"", bytes(byte & 0x7F for byte in value))
        return int(plain[:20], 0) % WRAPS[0] if re.fullmatch(rb"0x[0-9a-f]+|[1-9][0-9]*", plain) else 0
    return 0


def by_coding(fields: Fields) -> int | None:
    """None, which is chunked, if that word is anywhere near Transfer-Encoding."""
    is_chunked = any(b"chunked" in value.lower() for value in _named(fields, b"transfer-encoding"))
    return None if is_chunked else by_first_length(fields)


def by_any_coding(fields: Fields) -> int | None:
    """None if Transfer-Encoding is there at all."""
    return None if _named(fields, b"transfer-encoding") else by_first_length(fields)


LENGTHS: list[Callable[[Fields], int | None]] = [
    by_first_length, by_last_length, by_bold_length, by_no_length, by_coding, by_any_coding,
]  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """One way to take a stream."""

    line_end: bytes
    length: Callable[[Fields], int | None]
    wrap: int
    # Whatever stands between a chunk's data and the next line is not looked at.
    skips_junk: bool
    # A line that is no request's is not looked at.
    skips_lines: bool

    def requests(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Method and target of each request that it would carry out."""
        found = []
        while data:
            while (empty := re.match(self.line_end, data)) is not None:
                data = data[empty.end() :]
            lines = []
            while True:
                line, data, is_whole = self._line(data)
                if not is_whole or not line.strip():
                    break
                lines.append(line)
            if not is_whole or not lines:
                return found
            while self.skips_lines and len(lines) > 1 and not REQUEST_LINE.match(lines[0]):
                lines.pop(0)
            match = REQUEST_LINE.match(lines[0])
            if match is not None:
                found.append((match[1], match[2]))
            fields = [
                (key.strip(), value.strip()) for key, _, value in (one.partition(b":") for one in lines)
            ]
            size = self.length(self._unfolded(fields))
            data = self._behind_chunks(data) if size is None else data[size:]
        return found

    def _line(self, data: bytes) -> tuple[bytes, bytes, bool]:
        end = re.search(self.line_end, data)
        return (data[: end.start()], data[end.end() :], True) if end else (data, b"", False)

    @staticmethod
    def _unfolded(fields: Fields) -> Fields:
        joined: Fields = []
        for key, value in fields:
            if not value and joined and not joined[-1][1]:  # obs-fold
                joined[-1] = (joined[-1][0], key)
            else:
                joined.append((key, value))
        return joined

    def _behind_chunks(self, data: bytes) -> bytes:
        while data:
            line, data, _ = self._line(data)
            size = (_first_number(line, 16) or 0) % self.wrap
            if not size:
                break
            data = data[size:]
            if self.skips_junk:
                _, data, _ = self._line(data)
            else:
                data = data.removeprefix(b"\r\n")
        while data:  # trailers
            line, data, _ = self._line(data)
            if not line:
                break
        return data


READERS = [
    Reader(*choices) for choices in itertools.product(LINE_ENDS, LENGTHS, WRAPS, (False, True), (False,))
]
# As one reads that has answered already and looks for the next request in whatever comes.
CARELESS_READERS = [replace(reader, skips_lines=True) for reader in READERS]
