"""From the text of an argument to a value: ``K=V``, ``K: V``, scalars, ``@file``."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from supervisor.cli.command_errors import usage
from supervisor.errors import shown

DATA_MAX_BYTES = 1 << 30  # the largest request body that any server can be told to take
READ_CHUNK_BYTES = 1 << 20
SCALAR_MAX_CHARS = 4096  # a longer text is no number and no truth value
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# These headers say where a request ends; a wrong one would split a request in two.
FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


def pair(text: str, option: str, form: str = "KEY=VALUE") -> tuple[str, str]:
    """``KEY=VALUE`` taken apart at the first ``=``; the value may be empty, the key may not."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise usage(f"cannot use {option} {shown(text)}; write {option} {form}")
    return key, value


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """A mapping of ``KEY=VALUE`` texts; a key may be given once."""
    found: dict[str, str] = {}
    for text in texts:
        key, value = pair(text, option)
        if key in found:
            raise usage(f"{option} {key} is given twice; give it once")
        found[key] = value
    return found


def options(texts: Sequence[str]) -> dict[str, Any]:
    """A mapping of ``key=value`` texts with :func:`scalar` values."""
    return {key: scalar(value) for key, value in pairs(texts, "--set").items()}


def scalar(text: str) -> Any:
    """``text`` as a JSON or TOML scalar, or as the text that it is.

    >>> [scalar(text) for text in ("true", "3", "0.5", "1_000", '"3"', "null", "host")]
    [True, 3, 0.5, 1000, '3', None, 'host']
    """
    if len(text) > SCALAR_MAX_CHARS or not text.strip() or "\n" in text:
        return text
    try:
        value = json_value(text)
    except ValueError:
        value = _toml_scalar(text)
    return text if isinstance(value, dict | list) else value


def _toml_scalar(text: str) -> Any:
    import tomllib

    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = document.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        return text  # JSON has no such number
    # A date stays text, because JSON has none, and "1 # x" is not a number with a comment.
    return value if isinstance(value, bool | int | float | str) and "#" not in text else text


def json_value(text: str | bytes) -> Any:
    """The value of a JSON text (RFC 8259: no NaN, no infinity); ValueError for anything else."""
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number that JSON can carry")
    return value


def header(text: str) -> tuple[bytes, bytes]:
    """``Name: value`` as bytes for the wire, without blanks around the value."""
    name, colon, value = text.partition(":")
    if not colon or not HEADER_NAME.fullmatch(name):
        raise usage(f"cannot use --header {shown(text)}; write --header 'Name: value'")
    if name.lower() in FRAMING_HEADERS:
        raise usage(f"cannot use --header {name}: the command sets it itself; leave it out")
    if any((character < " " and character != "\t") or character == "\x7f" for character in value):
        raise usage(
            f"cannot use --header {name}: its value has a line end or another control character in it"
        )
    return name.encode("ascii"), value.strip(" \t").encode("utf-8", "surrogateescape")


def read_data(text: str | None) -> bytes | None:
    """The bytes of ``--data``: those of the text, or for ``@FILE`` a file's, for ``@-`` standard input's."""
    if text is None:
        return None
    if text == "@-":
        return bounded_input(DATA_MAX_BYTES, "--data @-")
    if text.startswith("@"):
        return bounded_file(Path(text[1:]), DATA_MAX_BYTES)
    # surrogateescape keeps the bytes that the shell was given, even if they are not UTF-8.
    return text.encode("utf-8", "surrogateescape")


def bounded_file(path: Path, max_bytes: int) -> bytes:
    """A file's bytes; CommandFailure (usage) if it cannot be read or is larger than ``max_bytes``."""
    try:
        with path.open("rb") as file:
            content = _read(file, max_bytes)
    except OSError as error:
        raise usage(f"cannot read {path}: {error.strerror}") from None
    except ValueError:  # a NUL in the name
        raise usage(f"cannot read {shown(str(path))}: not a file name") from None
    if content is None:
        raise usage(f"cannot use {path}: larger than {max_bytes} bytes")
    return content


def bounded_input(max_bytes: int, what: str) -> bytes:
    """All of standard input; CommandFailure (usage) if it is more than ``max_bytes``."""
    content = _read(sys.stdin.buffer, max_bytes)
    if content is None:
        raise usage(f"cannot use {what}: standard input has more than {max_bytes} bytes")
    return content


def _read(file: IO[bytes], max_bytes: int) -> bytes | None:
    """All of ``file``, or ``None`` if it is longer; in chunks: ``read(n)`` takes n bytes of memory."""
    parts: list[bytes] = []
    left = max_bytes
    while chunk := file.read(min(left + 1, READ_CHUNK_BYTES)):
        if len(chunk) > left:
            return None
        left -= len(chunk)
        parts.append(chunk)
    return b"".join(parts)


def content_type(data: bytes) -> bytes:
    """The media type for data that was given without one."""
    try:
        json_value(data.decode("utf-8"))
    except UnicodeDecodeError:
        return b"application/octet-stream"
    except ValueError:
        return b"text/plain; charset=utf-8"
    return b"application/json"
