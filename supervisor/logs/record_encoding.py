r"""A record as one line on disk.

    CCCCCCCC s l TTTTTTTTTTTTTTTT SEQ VERSION INSTANCE CALL_ID TEXT\n     (no space before the time)

``C`` is the CRC-32 of the rest of the line in hexadecimal, ``s`` and ``l`` are letters for stream and level,
``T`` is the time in ns, hexadecimal like sequence and version.  The folder and the file give space, name and
writer: a record cannot claim to be another function's.

Why lines: a newline is the one byte that no record contains.  A reader that starts anywhere in a file (in a
bisection, going backwards, behind damage, behind a torn write) is at a record again after the next newline,
and C code splits and searches whole blocks.  Why not JSON: this takes a third of its time to write and a
fifth to read, and the fixed head lets a reader refuse a line by level without decoding it.  Why a checksum:
damage would otherwise look like something that a function wrote.

In TEXT a backslash is ``\\`` and a newline ``\n``; all else is UTF-8, lone surrogates included.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote
from zlib import crc32

from supervisor.logs.log_record import Level, Record, Stream

# The most that a reader holds for one record.  It is far above the 16 KiB at which the fronts cut a line,
# because a traceback is one record of many lines.
LINE_MAX_BYTES = 256 * 1024
# Escapes and UTF-8 make at most 4 bytes of a character: a text of this length always fits.
TEXT_MAX_CHARS = LINE_MAX_BYTES // 4 - 1024
# A longer call id or instance does not exist (CALL_ID in front/invoke/request.py has 128).
ORIGIN_MAX_CHARS = 128
CUT = "... (cut)"
TIME_MAX = (1 << 64) - 1
SEQUENCE_MAX = (1 << 48) - 1

STREAM_AT, LEVEL_AT, TIME_AT, SEQUENCE_AT = 8, 9, 10, 27
STREAM_CODES: dict[str, str] = {"stdout": "o", "stderr": "e", "platform": "p"}
LEVEL_CODES: dict[str, str] = {"debug": "d", "info": "i", "warning": "w", "error": "e", "critical": "c"}
_STREAMS: dict[str, Stream] = {"o": "stdout", "e": "stderr", "p": "platform"}
_LEVELS: dict[str, Level] = {"d": "debug", "i": "info", "w": "warning", "e": "error", "c": "critical"}

_ESCAPED = re.compile(r"\\(.)")
# Enough for the calls of one moment, each of which has many lines.
_ORIGINS_KEPT = 4096
# Characters of a call id or an instance that are not quoted; a space or a newline would break the line.
_PLAIN = ":@=+"


def encode(record: Record, sequence: int) -> bytes:
    """The line of a record with its newline.  ValueError for a record that no front makes."""
    text = record.text
    if len(text) > TEXT_MAX_CHARS:
        text = text[:TEXT_MAX_CHARS] + CUT
    timestamp = record.timestamp
    if not 0 <= timestamp <= TIME_MAX:
        raise ValueError(f"cannot encode a record: its time is {timestamp} ns")
    origin = _origin(record.version, record.instance, record.call_id)
    codes = _codes(record.stream, record.level)
    body = f"{codes}{timestamp:016x} {sequence:x} {origin} {escaped(text)}".encode("utf-8", "surrogatepass")
    return b"%08x%b\n" % (crc32(body), body)


def encode_report(timestamp: int, sequence: int, rest: bytes) -> bytes:
    """The line of a report of a call that did not fail; ``rest`` is version, instance, call id and text.

    It equals that of ``encode`` at a quarter of the cost, because each call has a report.  ``rest`` holds no
    character that needs an escape.
    """
    body = b"pi%016x %x %b" % (timestamp, sequence, rest)
    return b"%08x%b\n" % (crc32(body), body)


def decode(line: bytes, space: str, name: str, writer: str) -> Record:
    """The record of a line without its newline.  ValueError for a damaged line."""
    # From here on the bytes are hostile.
    if int(line[:STREAM_AT], 16) != crc32(line[STREAM_AT:]):
        raise ValueError("the checksum is another")
    head, sequence, version, instance, call_id, text = (
        line[STREAM_AT:].decode("utf-8", "surrogatepass").split(" ", 5)
    )
    stream, level = _STREAMS.get(head[:1]), _LEVELS.get(head[1:2])
    if stream is None or level is None:
        raise ValueError("no such stream or level")
    if "\\" in text:
        text = _ESCAPED.sub(_unescape, text)
    if "%" in instance:
        instance = unquote(instance, errors="surrogatepass")
    if "%" in call_id:
        call_id = unquote(call_id, errors="surrogatepass")
    return Record(
        space, name, int(version, 16), instance, call_id, int(head[2:], 16), stream, level, text,
        writer, int(sequence, 16),
    )  # fmt: skip


def key_of(line: bytes) -> tuple[int, int]:
    """Time and sequence of a line, which is all that a search needs.  ValueError for a damaged line."""
    # From here on the bytes are hostile.
    if int(line[:STREAM_AT], 16) != crc32(line[STREAM_AT:]):
        raise ValueError("the checksum is another")
    end = line.index(b" ", SEQUENCE_AT)
    return int(line[TIME_AT : SEQUENCE_AT - 1], 16), int(line[SEQUENCE_AT:end], 16)


def escaped(text: str) -> str:
    """``text`` as it stands on disk; a part of a text is a part of it there too."""
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\n" in text:
        text = text.replace("\n", "\\n")
    return text


def quoted(name: str) -> str:
    """A call id or an instance as it stands on disk: in ASCII without spaces and newlines."""
    return quote(name[:ORIGIN_MAX_CHARS], safe=_PLAIN, errors="surrogatepass")


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


@lru_cache(_ORIGINS_KEPT)
def _origin(version: int, instance: str, call_id: str) -> str:
    if version < 0:
        raise ValueError(f"cannot encode a record: its version is {version}")
    return f"{version:x} {quoted(instance)} {quoted(call_id)}"


@lru_cache
def _codes(stream: str, level: str) -> str:
    if stream not in STREAM_CODES or level not in LEVEL_CODES:
        raise ValueError("cannot encode a record: no such stream or level")
    return STREAM_CODES[stream] + LEVEL_CODES[level]
