"""Guesses what an author has meant by an unusual answer, and by one that cannot be sent.

An unusual answer is sent as the contract says, and the log of the instance gets one warning about it
(``LikelyMistake``).  For an answer that cannot be sent, the guess ends the error's message.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from .mistake import has, is_file, kind_of, shown

KEYS = ("status_code", "headers", "body")
# The names that other platforms and typing errors give these keys, and what to write instead.
MEANT = {
    **dict.fromkeys(("status", "statuscode", "code", "status_code", "http_status"), "'status_code'"),
    **dict.fromkeys(("header", "headers"), "'headers'"),
    **dict.fromkeys(("body", "data", "content", "payload", "result", "response", "text", "json"), "'body'"),
    "multivalueheaders": "a list of pairs as 'headers'",
    "cookies": "('Set-Cookie', ...) into a list of pairs as 'headers'",
    "isbase64encoded": "the bytes themselves as 'body'",
}
# How many keys a message names.
NAMED_MOST = 5


class LikelyMistake(NamedTuple):
    """A warning for the log; an instance logs one of each ``kind``."""

    kind: str
    text: str


def of_keys(result: "Mapping[Any, Any]") -> Optional[LikelyMistake]:
    """A warning about a dict with other keys than the three of the contract."""
    try:
        return _of_keys(result)
    except Exception:  # a key of an author's class raised; the answer itself is complete
        return None


def _of_keys(result: "Mapping[Any, Any]") -> Optional[LikelyMistake]:
    others = [key for key in result if key not in KEYS]
    has_alias = "statusCode" in result and "status_code" not in result
    if has_alias:
        others.remove("statusCode")
    if not others:
        return None
    named = ", ".join(map(shown, others[:NAMED_MOST])) + (", \u2026" if len(others) > NAMED_MOST else "")
    meant = [(key, MEANT.get(str(key).lower(), "")) for key in others[:NAMED_MOST]]
    hints = ["instead of %s write %s" % (shown(key), name) for key, name in meant if name]
    if len(others) < len(result):
        text = "handle returned a dict with %s, which is not read; status_code, headers and body are" % named
    else:
        text = "handle returned a dict with %s and none of status_code, headers and body: " % named
        text += "an empty answer was sent"
        if not hints:
            hints = ['to send that dict as JSON: return {"body": {...}}']
    return LikelyMistake("keys", "; ".join([text, *hints]))


def of_text(body: Any, sent: bytes) -> Optional[LikelyMistake]:
    """A warning about a body that was sent as text although it is none."""
    kind = type(body)
    if is_file(body) or isinstance(body, str) or (isinstance(body, (int, float)) and kind is not bool):
        return None
    if kind.__str__ is not object.__str__ and not has(kind, "__len__"):
        return None  # its class defines a text: Decimal, date, UUID
    what = "body is of type %s and was sent as the text that Python prints of it, %s" % (
        kind_of(body), shown(sent[:40].decode("utf-8", "replace")),
    )  # fmt: skip
    return LikelyMistake("text", "%s; %s" % (what, _instead_of_text(body)))


def _instead_of_text(body: Any) -> str:
    if has(body, "__await__"):
        return "it was never awaited: write await before it, in an async def handle"
    if isinstance(body, (list, tuple, bool)):
        return "for JSON add the header Content-Type: application/json"
    if has(body, "tolist"):
        return "for JSON write body.tolist() and the header Content-Type: application/json"
    if has(body, "__iter__"):
        return "for JSON write list(body) and the header Content-Type: application/json"
    return "write what of it shall be sent: a dict for JSON, text, or bytes"


def of_file(body: Any) -> Optional[LikelyMistake]:
    """A warning about a file that was read or written to its end before."""
    try:
        position = body.tell()
    except Exception:  # a pipe, or an object of the author's
        return None
    if type(position) is not int or position <= 0:
        return None
    text = "body is a %s that was read or written to its end, so nothing was sent; write body.seek(0) before"
    return LikelyMistake("file", text % kind_of(body))


def instead_of(result: Any) -> str:
    """What to return instead of something that is no dict."""
    if has(result, "__await__"):
        name = getattr(getattr(result, "cr_code", None), "co_name", "")
        made = " of the coroutine function %s" % shown(name) if isinstance(name, str) and name else ""
        return (
            "it is what a call%s gives before it is awaited: a handler that returns an awaitable must be "
            "declared with 'async def' and await it, and so must what a decorator puts in its place" % made
        )
    if has(result, "__anext__") or kind_of(result) == "generator":
        return "there is a yield in it, which makes every call of it give that: return a dict instead"
    if isinstance(result, tuple) and len(result) in (2, 3):
        return 'write {"status_code": ..., "headers": {...}, "body": ...} for what Flask takes as a tuple'
    if has(result, "status_code"):
        return (
            'write {"status_code": r.status_code, "headers": dict(r.headers), "body": ...} of that response r'
        )
    if isinstance(result, (list, set)):
        return 'for JSON write {"body": result, "headers": {"Content-Type": "application/json"}}'
    return 'write {"body": ...}'


def of_status(status: Any) -> str:
    """What to write instead of a status that is no int; "" if nobody can tell."""
    try:
        number = int(getattr(status, "value", status))
    except Exception:
        return ""
    if isinstance(status, bool) or not 200 <= number <= 599:
        return ""
    return "; write %d" % number


def of_header(name: str, value: Any) -> str:
    """What to write instead of a header's value that is no text."""
    if value is None:
        return "leave it out, or write ''"
    if isinstance(value, (list, tuple, set)):
        return 'to repeat it write headers as a list of pairs: [("%s", "..."), ("%s", "...")]' % (name, name)
    if has(value, "js_output"):  # http.cookies: of one value, and of several
        if has(value, "OutputString"):
            return "write value.OutputString()"
        return (
            'write headers as a list of pairs: [("%s", one.OutputString()) for one in value.values()]' % name
        )
    if isinstance(value, (bytes, bytearray)):
        return 'write value.decode("latin-1")'
    return "write str(value), if that is what shall be sent"
