"""Turns what a handler returned into an HTTP answer (docs/functions.md), or names the mistake in it.

Pure: a value in; status, headers and body out.  The front checks everything again, because this code shares
a process with the tenant's.  Here it is checked so that the author learns what is wrong.
"""

import re
import types
from collections.abc import Mapping
from typing import Any, Iterable, List, NamedTuple, Optional, Tuple

from .. import wire
from . import json_body, likely_mistakes
from .mistake import ContractError, is_file, kind_of, shown

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What our frames need for a header beside its name and value: two lengths.
PER_HEADER_BYTES = 6

_GENERATORS = (types.GeneratorType, types.AsyncGeneratorType)

HEADERS_FORM = 'write {"Name": "value"}, or [("Name", "value")] where a name repeats'


class HandlerAnswer(NamedTuple):
    """An answer that the wire can carry, and a warning if the author has probably meant another one."""

    status: int
    headers: List[Tuple[str, str]]
    body: bytes
    likely_mistake: Optional[likely_mistakes.LikelyMistake] = None


def answer_of(
    result: Any, text_content_type: str = "text/plain; charset=utf-8", most: int = wire.BODY_MAX_BYTES
) -> HandlerAnswer:
    """The answer for a handler's return value; reads at most ``most`` bytes of a file.

    Raises ContractError.
    """
    if result is None:
        return HandlerAnswer(200, [], b"")
    if not isinstance(result, Mapping):
        mistake = "handle returned %s, not a dict with status_code, headers and body; %s" % (
            kind_of(result), likely_mistakes.instead_of(result),
        )  # fmt: skip
        _drop(result)
        raise ContractError(mistake)
    has_headers, has_body = "headers" in result, "body" in result
    # The oldest samples use "statusCode".
    key = "status_code" if "status_code" in result else "statusCode" if "statusCode" in result else ""
    likely_mistake = None
    if (key != "") + has_headers + has_body != len(result):
        likely_mistake = likely_mistakes.of_keys(result)
    status = _status(key, result[key]) if key else 200
    headers = _headers(result["headers"]) if has_headers else []
    content_type = next((value for name, value in headers if name.lower() == "content-type"), None)
    given = result["body"] if has_body else None
    body, implied_type = _body(given, content_type, text_content_type, most)
    if content_type is None and implied_type is not None:
        headers.append(("Content-Type", implied_type))
        if implied_type is text_content_type and type(given) is not str:
            likely_mistake = likely_mistake or likely_mistakes.of_text(given, body)
            _drop(given)
    if len(headers) > wire.HEADERS_MAX:
        raise ContractError(
            "headers has %d entries with its Content-Type, and an answer may have %d; send fewer"
            % (len(headers), wire.HEADERS_MAX)
        )
    if not body and is_file(given):
        likely_mistake = likely_mistake or likely_mistakes.of_file(given)
    return HandlerAnswer(status, headers, body, likely_mistake)


def _drop(value: Any) -> None:
    """Close a coroutine: Python would warn that nobody awaited it, as we do, and name a line of ours."""
    if isinstance(value, types.CoroutineType):
        value.close()


def _status(key: str, status: Any) -> int:
    # A bool is an int to Python, but nobody means status 1.
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise ContractError(
            "%s is %s (%s), not an int from 200 to 599%s"
            % (key, shown(status), kind_of(status), likely_mistakes.of_status(status))
        )
    return int(status)


def _headers(given: Any) -> List[Tuple[str, str]]:
    if given is None:
        return []
    pairs: Iterable[Any]
    if isinstance(given, Mapping):
        pairs = given.items()
    elif isinstance(given, (list, tuple)):
        pairs = given
    elif callable(getattr(given, "items", None)):  # werkzeug's Headers and its like
        pairs = given.items()
    else:
        raise ContractError(
            "headers is %s (%s), not a dict or a list of pairs; %s"
            % (shown(given), kind_of(given), HEADERS_FORM)
        )
    headers = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ContractError(
                "headers has %s, not a pair of name and value; %s" % (shown(pair), HEADERS_FORM)
            )
        headers.append((_header_name(pair[0]), _header_value(*pair)))
    return headers


def _header_name(name: Any) -> str:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise ContractError(
            "headers has the name %s (%s), which is not an HTTP token: "
            "letters, digits and !#$%%&'*+-.^_`|~ only" % (shown(name), kind_of(name))
        )
    return str.__str__(name)


def _header_value(name: Any, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ContractError(
            "header %s has a value of type %s, not text; %s"
            % (name, kind_of(value), likely_mistakes.of_header(name, value))
        )
    text = str.__str__(value if isinstance(value, str) else str(value)).strip(" \t")
    found = FORBIDDEN_IN_VALUE.search(text)
    if found:
        raise ContractError(
            "header %s has the character %r in its value, which HTTP does not allow; "
            "take it out or encode it, as urllib.parse.quote does" % (name, found.group())
        )
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ContractError(
            "header %s has the character %r in its value; HTTP carries Latin-1 only, so encode it, "
            "as urllib.parse.quote does" % (name, text[error.start])
        ) from None
    return text


def too_large(answer: HandlerAnswer) -> str:
    """The message about headers that are each valid, but too large together."""
    size = sum(PER_HEADER_BYTES + len(name) + len(value.encode()) for name, value in answer.headers)
    name, value = max(answer.headers, key=lambda header: len(header[1]), default=("", ""))
    return "the headers do not fit: they have about %d bytes, and may have %d; the largest is %s with %d" % (
        size, wire.HEAD_MAX_BYTES, shown(name), len(value),
    )  # fmt: skip


def _body(body: Any, content_type: Optional[str], text_type: str, most: int) -> Tuple[bytes, Optional[str]]:
    """The body's bytes, and the content type that they imply if the handler named none."""
    if body is None:
        return b"", None
    if isinstance(body, str):
        return _encoded(str.__str__(body)), text_type
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), "application/octet-stream"
    if isinstance(body, Mapping):
        return json_body.dumped(body), "application/json"
    if isinstance(body, _GENERATORS):
        raise ContractError(
            "body is of type %s, and this server does not send an answer piece by piece; "
            'join it: "".join(...), b"".join(...) or list(...)' % kind_of(body)
        )
    if is_file(body):
        return _body(_read(body, most), content_type, text_type, most)
    if content_type is not None and _is_json(content_type):
        return json_body.dumped(body), None
    return _encoded(str.__str__(str(body))), text_type


def _read(body: Any, most: int) -> Any:
    """The content of an open file."""
    content = body.read(most + 1)  # one byte more shows that it is too large
    if not isinstance(content, (str, bytes, bytearray, memoryview)):
        _drop(content)
        raise ContractError(
            "body is %s, whose read() gives %s, not bytes or text; read it yourself and return what you got"
            % (kind_of(body), kind_of(content))
        )
    return content


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ContractError(
            "body has a lone surrogate %r at index %d, which UTF-8 cannot carry; "
            'encode it yourself, as with .encode("utf-8", "surrogateescape")'
            % (text[error.start], error.start)
        ) from None


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")
