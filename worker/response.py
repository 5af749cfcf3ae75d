"""What a handler returned, as an HTTP answer (CONTRACT.md section 1), or the mistake in it.

Pure: a value in, status, headers and body out.  The front checks all of it again, because this
code shares a process with the tenant's; here it is checked to tell the author what is wrong.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
SHOWN_MAX_CHARS = 80
# Deeper than any honest document and well below the interpreter's own recursion limit.
JSON_MAX_DEPTH = 200


class ContractError(Exception):
    """The handler's answer breaks the contract; the message names the mistake."""


class Answer(NamedTuple):
    """An answer that the wire can carry."""

    status: int
    headers: List[Tuple[str, str]]
    body: bytes


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # a tenant's __repr__ may raise anything
        text = "<%s whose repr raises %s>" % (type(value).__name__, type(error).__name__)
    return text if len(text) <= SHOWN_MAX_CHARS else text[: SHOWN_MAX_CHARS - 1] + "\u2026"


def answer_of(result: Any, text_content_type: str = "text/plain; charset=utf-8") -> Answer:
    """The answer that a handler's return value stands for.  Raises ContractError."""
    if result is None:
        return Answer(200, [], b"")
    if not isinstance(result, Mapping):
        hint = ""
        if hasattr(result, "__await__"):
            hint = "; a handler that returns an awaitable must be declared with 'async def'"
        raise ContractError(
            "handle returned %s, not a dict with status_code, headers and body%s"
            % (type(result).__name__, hint)
        )
    status = _status(result)
    headers = _headers(result.get("headers"))
    content_type = next((value for name, value in headers if name.lower() == "content-type"), None)
    body, implied_type = _body(result.get("body"), content_type, text_content_type)
    if content_type is None and implied_type is not None:
        headers.append(("Content-Type", implied_type))
    return Answer(status, headers, body)


def _status(result: "Mapping[Any, Any]") -> int:
    key = "status_code" if "status_code" in result else "statusCode"
    status = result.get(key, 200)
    # bool is an int to Python, but nobody means status 1.
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise ContractError("%s is %s, not an int from 200 to 599" % (key, _shown(status)))
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
        raise ContractError("headers is %s, not a dict or a list of pairs" % type(given).__name__)
    headers = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ContractError("headers has %s, not a pair of name and value" % _shown(pair))
        headers.append((_header_name(pair[0]), _header_value(*pair)))
    return headers


def _header_name(name: Any) -> str:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise ContractError("headers has the name %s, which is not an HTTP token" % _shown(name))
    return str(name)


def _header_value(name: Any, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ContractError("header %s has a value of type %s, not text" % (name, type(value).__name__))
    text = str(value).strip(" \t")
    found = FORBIDDEN_IN_VALUE.search(text)
    if found:
        raise ContractError(
            "header %s has the character %r in its value, which HTTP does not allow" % (name, found.group())
        )
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ContractError(
            "header %s has the character %r in its value; HTTP carries Latin-1 only, so encode it"
            % (name, text[error.start])
        ) from None
    return text


def _body(body: Any, content_type: Optional[str], text_type: str) -> Tuple[bytes, Optional[str]]:
    """Bytes of a body and the type they imply when none was given."""
    if body is None:
        return b"", None
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), "application/octet-stream"
    if isinstance(body, Mapping):
        return _json(body), "application/json"
    if content_type is not None and not isinstance(body, str) and _is_json(content_type):
        return _json(body), None
    text = str(body)
    try:
        return text.encode(), text_type
    except UnicodeEncodeError as error:
        raise ContractError(
            "body has a lone surrogate %r at index %d, which UTF-8 cannot carry"
            % (text[error.start], error.start)
        ) from None


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _plain(value: Any) -> Dict[Any, Any]:
    """``default`` of json.dumps: a Mapping that is no dict is one all the same."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _json(value: Any) -> bytes:
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can carry it escaped
        return json.dumps(value, allow_nan=False, default=_plain, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        culprit = _culprit(value, "body", 0)
        raise ContractError(culprit or "body cannot be JSON: %s" % _shown(error)) from None


def _culprit(value: Any, where: str, depth: int) -> Optional[str]:
    """The first thing in ``value`` that JSON cannot carry, by its place."""
    if depth > JSON_MAX_DEPTH:
        return "%s\u2026 is nested deeper than %d levels or contains itself" % (where[:40], JSON_MAX_DEPTH)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, (str, int, float, bool, type(None))):
                return "%s has the key %s of type %s, which JSON cannot carry" % (
                    where, _shown(key), type(key).__name__,
                )  # fmt: skip
            found = _culprit(item, "%s[%s]" % (where, _shown(key)), depth + 1)
            if found:
                return found
        return None
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            found = _culprit(item, "%s[%d]" % (where, index), depth + 1)
            if found:
                return found
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "%s is %r, which JSON cannot carry" % (where, value)
    if isinstance(value, (str, int, float, bool, type(None))):
        return None
    return "%s is of type %s, which JSON cannot carry" % (where, type(value).__name__)
